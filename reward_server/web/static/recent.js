// The list of groups that the server still keeps, and opening one.

import { call, Refusal } from "./api.js";
import { byId, el, show } from "./dom.js";
import { showGroup } from "./group.js";
import { visible } from "./visible.js";

/** Wire the list up; onLocked is called when the server wants a key. Returns a function that reads the list anew. */
export function setUpRecent(onLocked) {
  const guard = (action) => async () => {
    show(byId("recent-error"));
    try {
      await action();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      if (error.status === 401) return onLocked();
      show(byId("recent-error"), `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    }
  };
  const refresh = guard(async () => {
    const { groups, keep_groups: most, by_key: byKey } = await call("v1/recent");
    show(byId("recent-note"), note(most, groups.length, byKey));
    show(
      byId("recent-list"),
      groups.map((group) => line(group, guard(async () => showGroup(await call(`v1/recent/${encodeURIComponent(group.id)}`))))),
    );
  });
  byId("refresh").addEventListener("click", refresh);
  refresh();
  return refresh;
}

function note(most, count, byKey) {
  if (most === 0) return "This server keeps no texts ([page] keep_groups = 0).";
  const kept = `The last ${most} groups stay in the server's memory, never on a disk${byKey ? "; you see those sent with your key" : ""}.`;
  return count === 0 ? `${kept} There is none yet.` : kept;
}

function line(group, open) {
  const time = new Date(group.at * 1000);
  const button = el(
    "button",
    { type: "button" },
    el("bdi", { class: "head" }, visible(group.problem)),
    el(
      "span",
      { class: "soft small" },
      el("time", { datetime: time.toISOString() }, time.toLocaleTimeString("en-GB")),
      ` · ${statuses(group)}`,
      group.all_negative && ` · all-negative${group.rescued ? ", rescued" : ""}`,
    ),
  );
  button.addEventListener("click", open);
  return el("li", {}, button);
}

function statuses(group) {
  const parts = Object.entries(group.statuses).map(([status, count]) => `${count} ${status}`);
  return parts.length ? parts.join(", ") : "no response";
}
