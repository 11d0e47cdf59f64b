// A study whose trials run somewhere else: how to ask for values and tell results.

import { address, studyPath, token } from "../api.js";
import { announce, h, setText } from "../dom.js";

/** The commands, ready to copy; `update(detail)` says when they are of no use. */
export function external(detail) {
  const refused = h("p", {});
  const element = commands(detail, refused);
  const update = ({ external: elsewhere, state }) => {
    element.hidden = !elsewhere || state === "stopped";
    refused.hidden = state !== "paused";
    setText(refused, state === "paused" ? "It is paused: asking is refused until it is resumed. Results of trials that were given out are still taken." : "");
  };
  return { element, update };
}

function commands(detail, refused) {
  const auth = token() ? ' \\\n  -H "Authorization: Bearer $TCS_HPT_TOKEN"' : "";
  const url = (rest) => address(studyPath(detail.name, rest)).href;
  const json = ' \\\n  -H "Content-Type: application/json"';
  return h("section", { class: "panel", "aria-labelledby": "external-heading" },
    h("h2", { id: "external-heading" }, "Run the trials yourself"),
    h("p", {}, "This study proposes values and learns from results; the training runs wherever you like. Three requests do it:"),
    refused,
    h("ol", { class: "stack" },
      step("Ask for the next values. The answer names the trial and its values.",
        `curl -X POST ${quoted(url("/ask"))}${auth}${json} \\\n  -d '{}'`),
      step("While it trains, report each epoch if you have them. The answer says whether to stop early.",
        `curl -X POST ${quoted(url("/trials/1/epochs"))}${auth}${json} \\\n  -d '{"epoch": 1, "metrics": {"${detail.metric}": 0.5}}'`),
      step("Tell the result, or why there is none. Telling the same twice does no harm.",
        `curl -X POST ${quoted(url("/trials/1/tell"))}${auth}${json} \\\n  -d '{"metrics": {"${detail.metric}": 0.5}}'`,
        `curl -X POST ${quoted(url("/trials/1/tell"))}${auth}${json} \\\n  -d '{"failure": {"kind": "crashed", "message": "out of disk"}}'`)),
    h("p", { class: "muted" }, "Use the trial's number from the first answer in place of 1."));
}

function step(text, ...commands) {
  return h("li", {}, h("p", {}, text), commands.map(command));
}

function command(text) {
  const copy = h("button", { type: "button", class: "quiet", onclick: async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
      announce("Copied.");
    } catch {
      copy.textContent = "Select and copy it by hand"; // the clipboard is only there on secure pages
    }
  } }, "Copy");
  return h("div", { class: "command" }, h("pre", { tabindex: 0 }, h("code", {}, text)), copy);
}

// For a shell: study names hold nothing that needs it, a host might.
function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
