// Times that stay true while the page is open.

import { h, setText } from "../dom.js";
import { ago } from "../format.js";

/** `3 min ago`, with the exact time behind it. */
export function when(iso) {
  if (!iso) return null;
  const exact = new Date(iso);
  const shown = Number.isNaN(exact.getTime()) ? iso : exact.toLocaleString();
  return h("time", { datetime: iso, title: shown }, ago(iso));
}

/** Keep all of them up to date. */
export function keepTimes() {
  setInterval(() => {
    for (const time of document.querySelectorAll("time[datetime]")) {
      setText(time, ago(time.getAttribute("datetime")));
    }
  }, 10000);
}
