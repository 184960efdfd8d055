// Small charts of the last hour, drawn as SVG. Lines and areas only; words stand beside them as text.

import { el, svg } from "./dom.js";

const WIDTH = 360;
const HEIGHT = 100;

/**
 * A figure with one chart.
 *
 * lines: [{name, values, style}], each with as many values as the others, oldest first, null where there is none;
 * style is "area", "line" or "dashed". slots: how many values an hour has; the newest value stands at the right edge.
 */
export function chart({ title, lines, slots, top, format, summary }) {
  const drawing = svg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    preserveAspectRatio: "none",
    role: "img",
    "aria-label": summary,
  });
  drawing.append(svg("path", { d: `M0 0H${WIDTH}M0 ${HEIGHT / 2}H${WIDTH}`, class: "grid" }));
  lines.forEach((line, index) => drawing.append(...draw(line, index, slots, top)));
  return el(
    "figure",
    { class: "panel chart" },
    el("figcaption", {}, el("b", {}, title), lines.length > 1 && [" ", legend(lines)]),
    el("div", { class: "plot" }, el("span", { class: "max", "aria-hidden": "true" }, format(top)), drawing),
    el("div", { class: "axis", "aria-hidden": "true" }, el("span", {}, "an hour ago"), el("span", {}, "now")),
  );
}

function legend(lines) {
  return el(
    "span",
    { class: "lines" },
    lines.map((line, index) => el("span", { class: `key-${index} ${line.style}` }, line.name)),
  );
}

function draw(line, index, slots, top) {
  const step = WIDTH / slots;
  const first = slots - line.values.length;
  const y = (value) => (HEIGHT * (1 - Math.min(1, value / top))).toFixed(2);
  const runs = runsOf(line.values);
  if (line.style === "area") {
    return runs.map(({ start, values }) => {
      const left = (first + start) * step;
      const roof = values.map((value, offset) => `V${y(value)}H${(left + (offset + 1) * step).toFixed(2)}`);
      return svg("path", { d: `M${left.toFixed(2)} ${HEIGHT}${roof.join("")}V${HEIGHT}Z`, class: `series-${index} area` });
    });
  }
  return runs.map(({ start, values }) => {
    const points = values.map((value, offset) => `${((first + start + offset + 0.5) * step).toFixed(2)} ${y(value)}`);
    // A value without neighbours is a short stroke, not an invisible point.
    const tail = points.length === 1 ? `h${(step / 2).toFixed(2)}` : "";
    return svg("path", { d: `M${points.join("L")}${tail}`, class: `series-${index} ${line.style}` });
  });
}

/** The stretches between nulls. */
function runsOf(values) {
  const runs = [];
  values.forEach((value, index) => {
    if (value === null) return;
    if (index > 0 && values[index - 1] !== null) runs.at(-1).values.push(value);
    else runs.push({ start: index, values: [value] });
  });
  return runs;
}
