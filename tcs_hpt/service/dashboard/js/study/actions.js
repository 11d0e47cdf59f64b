// What a person can do with a study.

import { address, post, remove, send, studyPath, token } from "../api.js";
import { announce, h, put } from "../dom.js";
import { confirmed } from "../parts/dialogs.js";
import { problemNote } from "../parts/problem.js";
import { go } from "../router.js";

const WORDS = {
  pause: ["Pause", "The running trial is interrupted and tried again on resume."],
  resume: ["Resume", "Goes on where it was."],
  stop: ["Stop", "Ends the study here. What was measured stays."],
};

/** The buttons that make sense now; `model` is the page's, `onDetail` gets the study as the service sees it after an action. */
export function actions(name, model, onDetail) {
  const note = h("div", {});
  const buttons = h("div", { class: "row" });
  const element = h("div", { class: "actions" }, buttons, note);
  let key = "";

  async function act(action) {
    put(note);
    try {
      onDetail(await post(studyPath(name, `/${action}`)));
      announce(`${WORDS[action][0]}: asked for.`);
    } catch (error) {
      put(note, problemNote(error));
    }
  }

  async function erase() {
    const sure = await confirmed({
      title: `Delete ${name}?`,
      text: "All its trials, what the models said and its scores are removed from the store. This cannot be taken back.",
      yes: "Delete the study",
    });
    if (!sure) return;
    put(note);
    try {
      await model.hush();
      await remove(studyPath(name));
      go("#/");
    } catch (error) {
      model.quiet = false;
      put(note, problemNote(error));
    }
  }

  const update = (detail) => {
    const newKey = detail.actions.join();
    if (newKey === key) return;
    const focused = buttons.contains(document.activeElement);
    key = newKey;
    put(buttons,
      Object.keys(WORDS).filter((a) => detail.actions.includes(a)).map((a) =>
        h("button", { type: "button", title: WORDS[a][1], onclick: () => act(a) }, WORDS[a][0])),
      reportLink(name, note),
      h("a", { class: "button", href: `#/compare?studies=${encodeURIComponent(name)}` }, "Compare"),
      detail.actions.includes("delete") ? h("button", { type: "button", class: "danger", onclick: erase }, "Delete") : null);
    if (focused) buttons.querySelector("button, a")?.focus();
  };
  return { element, update };
}

// A link cannot carry the token, so with one the report is fetched and handed over as a file.
function reportLink(name, note) {
  const path = studyPath(name, "/report.html");
  if (!token()) return h("a", { class: "button", href: address(path).href, target: "_blank", rel: "noopener" }, "Report");
  const fetched = async () => {
    try {
      const response = await send("GET", path, { headers: { Accept: "text/html" } });
      const url = URL.createObjectURL(await response.blob());
      h("a", { href: url, download: `${name}.html` }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
    } catch (error) {
      put(note, problemNote(error));
    }
  };
  return h("button", { type: "button", onclick: fetched }, "Report");
}
