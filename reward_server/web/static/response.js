// One response: what it got, and its steps in colour. Every colour stands beside a word that says the same.

import { el } from "./dom.js";
import { visible } from "./visible.js";

const WORDS = { right: "right", "first-wrong": "first wrong step", after: "after the error", plain: "not judged" };
const SIGNS = { right: "✓", "first-wrong": "✗", after: "", plain: "" };
const LEVELS = 5;
const STATUS = {
  correct: "right answer",
  wrong: "wrong answer",
  judged: "wrong answer, judged",
  unscored: "no reward",
};

/** What the response got, in a few words. */
export function headline({ result }) {
  const words = [STATUS[result.status] ?? result.status];
  if (result.reward !== null) words.push(`reward ${short(result.reward)}`);
  if (result.rts !== null) words.push(`rts ${short(result.rts)}`);
  return words.join(" · ");
}

/** The steps, what the response got, and the judge's words. */
export function responseBody(response) {
  const { result, verdict } = response;
  const steps = cut(response);
  return [
    result.error && el("p", { class: "notice" }, el("b", {}, `${spaced(result.error.code)}: `), visible(result.error.message)),
    result.flags.length > 0 && el("p", { class: "notice" }, el("b", {}, "Flagged: "), result.flags.map(spaced).join(", ")),
    verdict?.for_show &&
      el("p", { class: "notice" }, "The group rule asked for no verdict here: this one is shown, and pays nothing."),
    el(
      "div",
      { class: "response" },
      el("ol", { class: "steps" }, steps.length ? steps.map(stepItem) : el("li", { class: "step plain" }, "No step in it.")),
      facts(result, verdict, steps),
    ),
    verdict?.critique &&
      el("div", { class: "critique" }, el("h4", {}, "What the judge wrote"), el("p", { class: "text", dir: "auto" }, visible(verdict.critique))),
  ];
}

/** Where the first wrong step is, in words. */
export function finding({ verdict }) {
  if (!verdict) return "not judged";
  return verdict.first_error === null ? "every step right" : `first wrong step ${verdict.first_error}`;
}

/** The steps with their places, and the text between them that belongs to none. */
function cut({ text, steps, verdict }) {
  // The server counts code points, a JavaScript string counts UTF-16 units.
  const points = Array.from(text);
  const slice = (start, end) => points.slice(start, end).join("");
  const items = [];
  let at = 0;
  (steps ?? []).forEach(([start, end], index) => {
    items.push(between(slice(at, start)));
    items.push({ index, text: slice(start, end), kind: kindOf(index, verdict), prob: verdict?.step_error_probs?.[index] ?? null });
    at = end;
  });
  items.push(between(slice(at)));
  return items.filter((item) => item !== null);
}

function between(text) {
  const rest = text.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, "");
  return rest === "" ? null : { index: null, text: rest };
}

function kindOf(index, verdict) {
  if (!verdict) return "plain";
  if (verdict.first_error === null || index < verdict.first_error) return "right";
  return index === verdict.first_error ? "first-wrong" : "after";
}

function stepItem({ index, text, kind, prob }) {
  if (index === null) return el("li", { class: "step outside" }, el("span", { class: "label" }, "no step"), words(text));
  const label = [
    el("span", { class: "n" }, `Step ${index}`),
    el("span", { class: "word" }, el("span", { "aria-hidden": "true" }, SIGNS[kind] && `${SIGNS[kind]} `), WORDS[kind]),
    prob !== null && el("span", { class: "prob" }, `${Math.round(100 * prob)}% wrong`),
  ];
  return el("li", { class: `step ${kind}`, "data-shade": shade(kind, prob) }, el("span", { class: "label" }, label), words(text));
}

function words(text) {
  return el("span", { class: "text", dir: "auto" }, visible(text));
}

/** 0 (pale) to 4 (strong): how sure the judge is of the colour. Without probabilities, one shade for each kind. */
function shade(kind, prob) {
  if (kind === "plain") return null;
  if (prob === null) return { right: 2, "first-wrong": 4, after: 1 }[kind];
  const sure = kind === "right" ? 1 - prob : prob;
  return Math.min(LEVELS - 1, Math.floor(sure * LEVELS));
}

function facts(result, verdict, steps) {
  const numSteps = steps.filter((step) => step.index !== null).length;
  const list = [
    ["reward", result.reward === null ? "none" : short(result.reward)],
    ["rts", result.rts === null ? "–" : short(result.rts)],
    result.rts_raw !== null && result.rts_raw !== result.rts && ["rts undefended", short(result.rts_raw)],
    ["answer", { 0: "wrong", 1: "right" }[result.acc] ?? "not known"],
    ["steps", numSteps],
    verdict && ["first error", verdict.first_error === null ? "none" : `step ${verdict.first_error}`],
    verdict && verdict.confidence !== null && ["confidence", `${Math.round(100 * verdict.confidence)}%`],
    verdict && verdict.expected_rts !== null && ["expected rts", short(verdict.expected_rts)],
    result.cached && ["cached", "yes"],
  ];
  return el(
    "dl",
    { class: "facts" },
    list.filter(Boolean).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))),
  );
}

function spaced(name) {
  return name.replaceAll("_", " ");
}

function short(value) {
  return Number(value.toFixed(3)).toString();
}
