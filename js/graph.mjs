// "Lip sync this image": finds the picture of a node, adds the hero and Load Audio beside it and wires them.
// Works on the graph it is given and knows neither page nor server.

const PICTURES = ["IMAGE", "VIDEO"];

const isPicture = (slot) => PICTURES.includes(String(slot?.type));

/** Where the picture of a node comes out: { node, slot, type }; a preview or save node passes on what feeds it. */
export function pictureOf(node) {
  const outputs = node.outputs ?? [];
  const slot = outputs.findIndex(isPicture);
  if (slot >= 0) return { node, slot, type: outputs[slot].type };
  const input = (node.inputs ?? []).findIndex((each) => isPicture(each) && each.link != null);
  if (input < 0) return null;
  const link = linkOf(node.graph, node.inputs[input].link);
  const origin = link && node.graph.getNodeById(link.origin_id);
  const type = origin?.outputs?.[link.origin_slot]?.type;
  return PICTURES.includes(String(type)) ? { node: origin, slot: link.origin_slot, type } : null;
}

/** A link by its number: graphs keep them in a Map or a plain object, as their version has it. */
export function linkOf(graph, id) {
  return graph.links instanceof Map ? graph.links.get(id) : graph.links?.[id];
}

/** Places for Load Audio, below the picture's node, and the hero, right of both. */
export function placesBeside({ pos, size }) {
  const gap = 60;
  return { audio: [pos[0], pos[1] + size[1] + gap], hero: [pos[0] + size[0] + gap, pos[1]] };
}

/** Add the hero and Load Audio to the graph of `node` and wire them; gives the two, or null where there is no picture. */
export function lipSyncThis(node, createNode) {
  const picture = pictureOf(node);
  if (!picture) return null;
  const graph = picture.node.graph;
  const hero = createNode("LipSyncVideo");
  const audio = createNode("LoadAudio");
  if (!hero || !audio) return null;
  const places = placesBeside(picture.node);
  for (const [added, place] of [[audio, places.audio], [hero, places.hero]]) {
    added.pos = place;
    graph.add(added);
  }
  picture.node.connect(picture.slot, hero, slotNamed(hero, "source"));
  audio.connect(0, hero, slotNamed(hero, "audio"));
  return { hero, audio };
}

function slotNamed(node, name) {
  return node.inputs.findIndex((input) => input.name === name);
}

/** The upstream node that feeds an input, by the input's name; null when nothing does. */
export function originOf(node, name) {
  const input = node.inputs?.find((each) => each.name === name);
  const link = input?.link != null && node.graph ? linkOf(node.graph, input.link) : null;
  return link ? node.graph.getNodeById(link.origin_id) : null;
}
