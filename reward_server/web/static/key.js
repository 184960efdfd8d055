// The API key: in this tab's session storage, or only in memory where the browser keeps nothing.

const NAME = "sgpo-key";
const PLAIN = /^[\x21-\x7e]+$/;
let inMemory = "";

/** The key that was given, or an empty text. */
export function savedKey() {
  try {
    return sessionStorage.getItem(NAME) ?? inMemory;
  } catch {
    return inMemory;
  }
}

/** Keep a key; an empty text forgets it. False: it cannot be a key. */
export function saveKey(key) {
  if (key !== "" && !PLAIN.test(key)) return false;
  inMemory = key;
  try {
    if (key === "") sessionStorage.removeItem(NAME);
    else sessionStorage.setItem(NAME, key);
  } catch {
    // Session storage is switched off: memory it is.
  }
  return true;
}
