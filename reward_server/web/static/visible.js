// Characters that cannot be seen, or that turn the reading order round, are written as their code point.

import { el } from "./dom.js";

// Controls, formats (zero width, bidi), separators, surrogates, private use, everything that may be drawn as nothing,
// and spaces other than the plain one. Line feed and tab stay.
const UNSEEN = /(?![\n\t ])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zs}\p{Zl}\p{Zp}\p{DI}\u2800]/u;
const PARTS = new RegExp(`(${UNSEEN.source})`, "u");

/** The text as a list of strings and elements, for dom.js. */
export function visible(text) {
  return text
    .replaceAll("\r\n", "\n")
    .split(PARTS)
    .filter((part) => part !== "")
    .map((part) => (UNSEEN.test(part) ? ghost(part) : part));
}

function ghost(character) {
  const code = character.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return el("span", { class: "ghost" }, `U+${code}`);
}
