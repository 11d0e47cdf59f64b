// What went wrong, as a sentence and what to do about it.

import { ApiError } from "../api.js";
import { h } from "../dom.js";
import { sentence } from "../format.js";

/** A whole page for an error; `again` tries once more. */
export function problemPanel(error, again) {
  if (!(error instanceof ApiError)) console.error(error);
  const heading = error.status === 404 ? "Not found" : error.status === 0 ? "No connection" : "Something went wrong";
  return h("section", { class: "panel problem" },
    h("h1", {}, heading),
    h("p", {}, sentence(error.message)),
    error.hint ? h("p", { class: "muted" }, sentence(error.hint)) : null,
    h("p", { class: "row" },
      again ? h("button", { type: "button", onclick: () => again() }, "Try again") : null,
      h("a", { href: "#/" }, "All studies")));
}

/** The same in a line, inside a page. */
export function problemNote(error) {
  if (!(error instanceof ApiError)) console.error(error);
  return h("p", { class: "note bad", role: "alert" }, sentence(error.message), error.hint ? ` ${sentence(error.hint)}` : "");
}
