// The REST API. Every problem arrives as an ApiError with a sentence for people; a missing token is asked for once, then the
// request goes out again.

const BASE = new URL("api/v1/", document.baseURI);
const TOKEN = "tcs-hpt-token";

let askForToken = async () => false;
let asking = null;
let memory = "";

/** Say how a token is asked for: an async function that is told whether an earlier one was refused, and returns the token. */
export function onTokenNeeded(ask) {
  askForToken = ask;
}

/** A refused or failed request. `status` is 0 when the service did not answer at all. */
export class ApiError extends Error {
  constructor(status, problem = {}) {
    super(problem.detail || problem.title || `The service answered ${status}.`);
    this.status = status;
    this.hint = problem.hint || "";
    this.errors = problem.errors || [];
  }
}

/** The token that was typed in, for this tab only. */
export function token() {
  try {
    return sessionStorage.getItem(TOKEN) ?? memory;
  } catch {
    return memory;
  }
}

function keepToken(value) {
  memory = value;
  try {
    sessionStorage.setItem(TOKEN, value);
  } catch {
    // Storage may be switched off; then it is asked for again after a reload.
  }
}

/** The address of a part of the API. */
export function address(path, query = {}) {
  const url = new URL(path, BASE);
  for (const [name, value] of Object.entries(query)) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/** `studies/NAME`, safe for any name. */
export function studyPath(name, rest = "") {
  return `studies/${encodeURIComponent(name)}${rest}`;
}

/** The response of a request; asks for the token on 401. Throws ApiError for everything that is not a success. */
export async function send(method, path, { query, body, headers = {}, signal } = {}) {
  for (;;) {
    const used = token();
    const all = { Accept: "application/json", ...headers };
    if (used) all.Authorization = `Bearer ${used}`;
    if (body !== undefined) all["Content-Type"] = "application/json";
    const response = await reach(address(path, query), {
      method, headers: all, signal, cache: "no-store", body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (response.ok) return response;
    if (response.status !== 401) throw new ApiError(response.status, await problem(response));
    if (used !== token()) continue; // somebody has typed in another one meanwhile
    asking ??= askForToken(used !== "").finally(() => (asking = null));
    const typed = await asking;
    if (!typed) throw new ApiError(401, await problem(response));
    keepToken(typed);
  }
}

async function reach(url, options) {
  try {
    return await fetch(url, options);
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new ApiError(0, { detail: "The service does not answer.", hint: "Is `tcs-hpt serve` running?" });
  }
}

async function problem(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

/** GET as JSON. */
export async function get(path, query = {}, signal = undefined) {
  return (await send("GET", path, { query, signal })).json();
}

/** POST as JSON; null when the answer is empty. */
export async function post(path, body = {}) {
  const response = await send("POST", path, { body });
  return response.status === 204 ? null : response.json();
}

/** DELETE. */
export async function remove(path) {
  // The type is named although there is no body: requests that change something must be JSON, so that no form of another site can send them.
  await send("DELETE", path, { headers: { "Content-Type": "application/json" } });
}
