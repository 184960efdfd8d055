// The form: a problem, perhaps its answer, and one or several responses.

import { call, Refusal } from "./api.js";
import { byId, el, show } from "./dom.js";
import { showGroup } from "./group.js";

const OUTCOMES = { compare: null, wrong: false, right: true };
const EXAMPLE = {
  problem: "Tom has 3 bags with 4 apples each. He eats 2 apples. How many apples are left?",
  answer: "10",
  responses: [
    "There are 3 * 4 = 12 apples in the bags.\nHe eats 2 of them: 12 - 2 = 11.\nThe answer is 11.",
    "There are 3 + 4 = 8 apples in the bags.\nHe eats 2 of them: 8 - 2 = 6.\nThe answer is 6.",
  ],
};

/** Wire the form up; onLocked is called when the server wants a key. */
export function setUpForm(onLocked) {
  addResponse();
  byId("add-response").addEventListener("click", () => addResponse().focus());
  byId("example").addEventListener("click", fillExample);
  byId("try-form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit(onLocked);
  });
}

async function submit(onLocked) {
  const button = byId("judge-button");
  if (button.getAttribute("aria-disabled") === "true") return;
  const missing = [byId("problem"), ...texts()].find((field) => field.value.trim() === "");
  if (missing) return complain(missing, missing.id === "problem" ? "Give a problem." : "Give a response, or remove it.");
  complain(null, "");
  // Not `disabled`, which would take the keyboard away from the button.
  button.setAttribute("aria-disabled", "true");
  show(byId("result-status"), "The judge is reading …");
  try {
    showGroup(await call("v1/explain", { group: readGroup() }));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    show(byId("result-status"));
    const isLocked = error.status === 401;
    if (isLocked) onLocked();
    complain(null, `Not judged: ${isLocked ? "the server asks for a key" : error.message}`);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

function readGroup() {
  const answer = byId("answer").value;
  const responses = [...byId("responses").children].map((box, index) => ({
    id: String(index),
    text: box.querySelector("textarea").value,
    outcome: OUTCOMES[box.querySelector("select").value],
  }));
  return { group_id: "pasted", problem: byId("problem").value, reference_answer: answer.trim() === "" ? null : answer, responses };
}

function complain(field, message) {
  for (const each of [byId("problem"), ...texts()]) each.removeAttribute("aria-invalid");
  show(byId("try-error"), message);
  if (field) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
  }
}

function texts() {
  return [...byId("responses").querySelectorAll("textarea")];
}

let numMade = 0;

function addResponse(text = "") {
  const id = `response-${numMade++}`;
  const area = el("textarea", { id, rows: 6, spellcheck: "false", required: true, "aria-describedby": "try-error" });
  area.value = text;
  const remove = el("button", { type: "button", class: "quiet remove" }, "Remove");
  const box = el(
    "div",
    { class: "response-box" },
    el("div", { class: "title-row" }, el("label", { for: id }), remove),
    area,
    el("label", { for: `${id}-outcome`, class: "inline" }, "Its answer"),
    el(
      "select",
      { id: `${id}-outcome` },
      el("option", { value: "compare" }, "compare with the reference"),
      el("option", { value: "wrong" }, "is wrong"),
      el("option", { value: "right" }, "is right"),
    ),
  );
  remove.addEventListener("click", () => {
    box.remove();
    rename();
    texts().at(-1).focus();
  });
  byId("responses").append(box);
  rename();
  return area;
}

/** Number the responses anew; the only one cannot be removed. */
function rename() {
  const boxes = [...byId("responses").children];
  boxes.forEach((box, index) => {
    show(box.querySelector("label"), `Response ${index}`);
    const remove = box.querySelector(".remove");
    remove.hidden = boxes.length === 1;
    remove.setAttribute("aria-label", `Remove response ${index}`);
  });
}

function fillExample() {
  byId("problem").value = EXAMPLE.problem;
  byId("answer").value = EXAMPLE.answer;
  show(byId("responses"));
  EXAMPLE.responses.forEach((text) => addResponse(text));
  complain(null, "");
  byId("judge-button").focus();
}
