// What would run, as the service itself sees it: every change of the form is checked by a dry run.

import { ApiError, post } from "../api.js";
import { h, put } from "../dom.js";
import { count, listed, sentence } from "../format.js";
import { assignments } from "../study/facts.js";
import { plainly } from "../study/headline.js";
import { showErrors } from "./fields.js";

const CALM = 500;

/** The panel beside the form. `body()` makes the request, `fields()` are those of the form. */
export function preview({ body, fields }) {
  const content = h("div", { "aria-live": "polite" }, h("p", { class: "muted" }, "Checking …"));
  const element = h("aside", { class: "panel preview", "aria-labelledby": "preview-heading" }, h("h2", { id: "preview-heading" }, "What will run"), content);
  let timer = 0;
  let asked = 0;

  async function check() {
    asked += 1;
    const mine = asked;
    try {
      const detail = await post("studies", { ...body(), dry_run: true });
      if (mine !== asked) return;
      showErrors(fields(), []);
      put(content, described(detail));
    } catch (error) {
      if (mine === asked) fail(error);
    }
  }

  function fail(error) {
    const left = showErrors(fields(), error.errors ?? []);
    const beside = (error.errors ?? []).length - left.length;
    put(content,
      h("p", { class: "note bad" }, beside && !left.length ? `${count(beside, "field")} need${beside === 1 ? "s" : ""} another value; the reason stands beside it.` : sentence(error.message),
        error.hint && !beside ? ` ${sentence(error.hint)}` : ""),
      left.length > 1 ? h("ul", {}, left.map((text) => h("li", {}, text))) : null);
    if (!(error instanceof ApiError)) console.error(error);
  }

  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(check, CALM);
  };
  return { element, check, soon, fail, stop: () => { clearTimeout(timer); asked += 1; } };
}

function described(d) {
  return [
    h("p", {}, plainly(d)),
    h("dl", { class: "facts" },
      row("Study", d.name),
      row("Method", d.method),
      row("Language model", d.model || d.model_reason ? [d.model || null, h("span", { class: "under" }, sentence(d.model_reason))] : "none is needed"),
      row("Tuned", listed(d.params.map((p) => p.name))),
      row("Fixed", Object.keys(d.fixed).length ? assignments(d.fixed) : null)),
  ];
}

function row(name, value) {
  return value === null || value === "" ? null : h("div", {}, h("dt", {}, name), h("dd", {}, value));
}
