// The quiet line that says whether what is shown is live.

import { setText } from "./dom.js";

let lost = false;
let timer = 0;

/** Tell it what a stream found: "open", "lost" or "idle". */
export function connection(state) {
  const line = document.getElementById("connection");
  clearTimeout(timer);
  if (state === "lost") {
    lost = true;
    line.dataset.state = "lost";
    setText(line, "Connection lost, trying again.");
    return;
  }
  if (!lost) return;
  lost = false;
  line.dataset.state = "back";
  setText(line, "Connected again.");
  timer = setTimeout(() => forget(), 4000);
}

/** Another page: what the last one's stream found does not matter any more. */
export function forget() {
  const line = document.getElementById("connection");
  clearTimeout(timer);
  lost = false;
  delete line.dataset.state;
  setText(line, "");
}
