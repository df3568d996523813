// What the picture of a speech shows, as numbers: bars, stretches of silence, stretches without a face. Pure, no page.

/** `peaks` (0..1, any number) -> `count` bars, each the loudest of its stretch, so that no burst gets lost. */
export function bars(peaks, count) {
  if (!peaks.length || count < 1) return [];
  return Array.from({ length: count }, (_, index) => {
    const from = Math.floor((index * peaks.length) / count);
    const to = Math.max(from + 1, Math.floor(((index + 1) * peaks.length) / count));
    return Math.max(...peaks.slice(from, to));
  });
}

/** The silence gate's value (0..1) above each of `count` bars: its middle value there. */
export function gateAt(gate, count) {
  if (!gate.length) return Array.from({ length: count }, () => 1);
  return Array.from({ length: count }, (_, index) => gate[Math.floor(((index + 0.5) * gate.length) / count)]);
}

/** Runs of frames [first, last] -> [start, end] as shares 0..1 of the clip. */
export function frameSpans(runs, frames) {
  if (!(frames > 0)) return [];
  const share = (value) => Math.min(Math.max(value / frames, 0), 1);
  return runs.map(([first, last]) => [share(first), share(last + 1)]).filter(([start, end]) => end > start);
}

/** How many frames the runs [first, last] hold. */
export function countFrames(runs) {
  return runs.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Seconds as people read them: 0:07, 12:34, 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(Number(seconds) || 0));
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const shown = parts[0] ? parts : parts.slice(1);
  return shown.map((part, index) => (index ? String(part).padStart(2, "0") : String(part))).join(":");
}

/** A time between 0 and `seconds` for a place `x` of a picture `width` wide. */
export function timeAt(x, width, seconds) {
  return width > 0 ? Math.min(Math.max(x / width, 0), 1) * seconds : 0;
}

/** Bytes as people read them. */
export function fileSize(bytes) {
  if (!(bytes > 0)) return "";
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KB` : `${Math.round(bytes / (1 << 20))} MB`;
}
