import assert from "node:assert/strict";
import { test } from "node:test";
import { lipSyncThis, originOf, pictureOf } from "../../js/graph.mjs";

function world() {
  const graph = { links: new Map(), nodes: [], add: (node) => graph.nodes.push(Object.assign(node, { graph })) };
  graph.getNodeById = (id) => graph.nodes.find((node) => node.id === id);
  return graph;
}

function node(graph, id, inputs, outputs) {
  const made = { id, pos: [100, 50], size: [200, 300], wires: [] };
  made.inputs = inputs.map(([name, type]) => ({ name, type, link: null }));
  made.outputs = outputs.map((type) => ({ type }));
  made.connect = (slot, other, input) => {
    const link = graph.links.size + 1;
    graph.links.set(link, { origin_id: id, origin_slot: slot });
    other.inputs[input].link = link;
  };
  graph.add(made);
  return made;
}

const KINDS = {
  LipSyncVideo: [[["model", "COMBO"], ["source", "IMAGE,VIDEO"], ["audio", "AUDIO"]], ["VIDEO", "LIPSYNC_FACES"]],
  LoadAudio: [[], ["AUDIO"]],
};

test("the hero and Load Audio are added beside a picture and wired by name", () => {
  const graph = world();
  const picture = node(graph, 1, [], ["MASK", "IMAGE"]);
  const { hero, audio } = lipSyncThis(picture, (kind) => node(graph, kind, ...KINDS[kind]));
  assert.deepEqual(graph.links.get(hero.inputs[1].link), { origin_id: 1, origin_slot: 1 });
  assert.equal(originOf(hero, "audio"), audio);
  assert.deepEqual(hero.pos, [360, 50]);
  assert.deepEqual(audio.pos, [100, 410]);
});

test("a preview passes on what feeds it", () => {
  const graph = world();
  const picture = node(graph, 1, [], ["IMAGE"]);
  const preview = node(graph, 2, [["images", "IMAGE"]], []);
  assert.equal(pictureOf(preview), null);
  picture.connect(0, preview, 0);
  assert.equal(pictureOf(preview).node, picture);
});

test("a video counts as a picture, a sound does not", () => {
  const graph = world();
  assert.equal(pictureOf(node(graph, 1, [], ["VIDEO"])).type, "VIDEO");
  assert.equal(pictureOf(node(graph, 2, [], ["AUDIO"])), null);
});

test("nothing is added where the nodes are not there", () => {
  const graph = world();
  assert.equal(lipSyncThis(node(graph, 1, [], ["IMAGE"]), () => null), null);
});
