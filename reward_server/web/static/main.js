// Puts the page together.

import { setState, watchActivity } from "./activity.js";
import { byId, show } from "./dom.js";
import { setUpForm } from "./form.js";
import { savedKey, saveKey } from "./key.js";
import { setUpRecent } from "./recent.js";

let resume = () => {};

/** The server wants a key: ask for it, and say so when the one given was refused. */
function locked() {
  const panel = byId("key-panel");
  setState("locked", "needs a key");
  if (savedKey()) {
    saveKey("");
    show(byId("key-error"), "The server does not accept this key.");
  }
  if (!panel.hidden) return;
  panel.hidden = false;
  byId("key").focus();
}

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = byId("key").value.trim();
  if (key === "" || !saveKey(key)) return show(byId("key-error"), "Give the key as it was given to you: plain letters, digits and signs.");
  byId("key").value = "";
  show(byId("key-error"));
  byId("key-panel").hidden = true;
  byId("main").focus();
  resume();
});

setUpForm(locked);
const refreshActivity = watchActivity(locked);
const refreshRecent = setUpRecent(locked);
resume = () => {
  refreshActivity();
  refreshRecent();
};
