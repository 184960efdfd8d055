// Calls to this server. A refusal becomes a Refusal with the server's own words.

import { savedKey } from "./key.js";

/** What the server said instead of an answer; status 0: it said nothing. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The JSON of a GET, or of a POST when there is a body. */
export async function call(path, body) {
  const headers = {};
  const key = savedKey();
  // Without one, the browser sends the password with which the page was opened, if there was one.
  if (key) headers.authorization = `Bearer ${key}`;
  const options = { headers, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    headers["content-type"] = "application/json";
    Object.assign(options, { method: "POST", body: JSON.stringify(body) });
  }
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Refusal(0, "the server does not answer");
  }
  const json = await reply.json().catch(() => null);
  if (!reply.ok) throw new Refusal(reply.status, json?.error?.message ?? `the server answered with status ${reply.status}`);
  if (json === null) throw new Refusal(reply.status, "the server's answer is not JSON");
  return json;
}
