// One group: its problem, and its responses, each of which opens and closes.

import { byId, el, show } from "./dom.js";
import { finding, headline, responseBody } from "./response.js";
import { visible } from "./visible.js";

const NUM_OPEN = 6;

/** Show a group, say in one line what came out, and take the keyboard there. */
export function showGroup(group) {
  show(byId("result"), problem(group), group.responses.map(responseItem));
  byId("legend").hidden = false;
  show(byId("result-title"), group.id === null ? "Your responses" : ["Group ", el("bdi", {}, visible(group.group_id))]);
  show(byId("result-status"), outcome(group));
  byId("result-title").focus();
}

function outcome(group) {
  const count = group.responses.length;
  const words = [`${count} response${count === 1 ? "" : "s"}`];
  if (group.all_negative) words.push(group.rescued ? "all-negative, and rescued: the rewards differ" : "all-negative");
  if (count === 1) words.push(finding(group.responses[0]));
  return `${words.join("; ")}.`;
}

function problem(group) {
  return el(
    "div",
    { class: "panel problem" },
    el("h3", {}, "Problem"),
    el("p", { class: "text", dir: "auto" }, visible(group.problem)),
    group.reference_answer !== null && fold("Reference answer", group.reference_answer, true),
    group.reference_solution !== null && fold("Reference solution", group.reference_solution, false),
    el("p", { class: "soft small" }, "Judge: ", el("code", {}, group.judge.id)),
  );
}

function fold(title, text, open) {
  return el("details", { open }, el("summary", {}, title), el("p", { class: "text", dir: "auto" }, visible(text)));
}

function responseItem(response, index) {
  const body = el("div", {});
  // The steps of a hundred responses are thousands of elements: they are made when they are looked at.
  let made = false;
  function make() {
    if (made) return;
    made = true;
    show(body, responseBody(response));
  }
  const open = index < NUM_OPEN;
  if (open) make();
  const item = el(
    "details",
    { class: "panel item", open },
    el(
      "summary",
      {},
      el("h3", {}, "Response ", el("bdi", {}, visible(response.result.id))),
      el("span", { class: "soft" }, `${headline(response)} · ${finding(response)}`),
    ),
    body,
  );
  item.addEventListener("toggle", () => item.open && make());
  return item;
}
