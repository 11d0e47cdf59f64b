// Server-sent events over fetch, as EventSource can send neither a token nor a first Last-Event-ID. A stream that breaks is opened
// again after the last event that was seen, so nothing is lost; a tab that nobody looks at gives its connection back.

import { ApiError, send } from "./api.js";

const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 15000;
const IDLE_PAUSE = 5000;
const SILENCE = 45000; // three keep-alive comments
const HIDDEN = 30000;

/** Splits a stream of text into events; feed it pieces of any size. */
export class Parser {
  constructor(onEvent) {
    this.onEvent = onEvent;
    this.rest = "";
    this.clear();
  }

  clear() {
    this.event = { id: "", kind: "message", data: [] };
  }

  feed(text) {
    this.rest += text;
    // A lone \r at the end may be the first half of \r\n, so it waits for the next piece.
    const lines = this.rest.split(/\r\n|\n|\r(?!$)/);
    this.rest = lines.pop();
    for (const line of lines) this.line(line);
  }

  line(line) {
    if (line === "") {
      if (this.event.data.length) this.onEvent({ ...this.event, data: this.event.data.join("\n") });
      this.clear();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment, sent to keep the connection alive
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "id") this.event.id = value;
    else if (field === "event") this.event.kind = value;
    else if (field === "data") this.event.data.push(value);
  }
}

/**
 * Follow a stream until `signal` aborts.
 *
 * @param {string} path of the API
 * @param {object} options
 * @param {AbortSignal} options.signal ends it
 * @param {string|number} [options.after] the last event that is already known
 * @param {(event: {id: string, kind: string, value: any}) => void} options.onEvent
 * @param {(state: "open"|"lost"|"idle") => void} options.onState
 * @param {() => Promise<boolean>} [options.wanted] asked before each connection: is there anything to follow now? May throw ApiError.
 */
export async function follow(path, { signal, after = "", onEvent, onState, wanted = async () => true }) {
  let last = String(after ?? "");
  let pause = FIRST_PAUSE;
  while (!signal.aborted) {
    await visible(signal);
    if (signal.aborted) return;
    try {
      if (!(await wanted())) {
        onState("idle");
        pause = FIRST_PAUSE;
        await sleep(IDLE_PAUSE, signal);
        continue;
      }
      await once(path, signal, last, (event) => {
        if (event.id) last = event.id;
        onEvent({ id: event.id, kind: event.kind, value: JSON.parse(event.data) });
      }, () => {
        pause = FIRST_PAUSE;
        onState("open");
      });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status >= 400 && error.status < 500) throw error;
      onState("lost");
    }
    await sleep(pause * (0.75 + Math.random() / 2), signal);
    pause = Math.min(pause * 2, LONGEST_PAUSE);
  }
}

async function once(path, signal, last, onEvent, onOpen) {
  const ending = new AbortController();
  const end = () => ending.abort();
  let hiddenTimer = 0;
  let away = false;
  const onVisibility = () => {
    clearTimeout(hiddenTimer);
    if (document.hidden) hiddenTimer = setTimeout(() => { away = true; end(); }, HIDDEN);
  };
  signal.addEventListener("abort", end);
  document.addEventListener("visibilitychange", onVisibility);
  let silence = 0;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(end, SILENCE);
  };
  try {
    heard();
    const headers = { Accept: "text/event-stream", ...(last ? { "Last-Event-ID": last } : {}) };
    const response = await send("GET", path, { headers, signal: ending.signal });
    onOpen();
    const parser = new Parser(onEvent);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      heard();
      parser.feed(value);
    }
  } catch (error) {
    if (!away) throw error;
  } finally {
    clearTimeout(silence);
    clearTimeout(hiddenTimer);
    signal.removeEventListener("abort", end);
    document.removeEventListener("visibilitychange", onVisibility);
    end();
  }
}

function visible(signal) {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => {
    const check = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", check);
      resolve();
    };
    document.addEventListener("visibilitychange", check);
    signal.addEventListener("abort", check, { once: true });
  });
}

/** Wait; an aborted signal ends it early and without an error. */
function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}
