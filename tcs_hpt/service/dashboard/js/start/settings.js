// The settings of a study that most people leave alone.

import { h } from "../dom.js";
import { ANSWERS, KEEP, PRUNE } from "../words.js";
import { field, numberInput, read, select, tick } from "./fields.js";

/** The fields under "More"; `body()` holds only what was set. */
export function moreSettings() {
  const text = (id, attributes = {}) => h("input", { type: "text", id, autocomplete: "off", ...attributes });
  const explained = (name, label, options, start) => {
    const control = select(name, options, start);
    const made = field({ field: name, label, help: options[start], control });
    control.addEventListener("change", () => made.explain(options[control.value]));
    return made;
  };
  const minutes = field({ field: "max_seconds", label: "Stop after (minutes)", help: "No trial starts later than this. Empty: no limit.", control: numberInput("max_seconds", { min: 0, step: "any" }) });
  const plain = [
    field({ field: "name", label: "Name", help: "Empty: made of the task and the time.", control: text("name", { maxlength: 100 }) }),
    field({ field: "description", label: "In your words", help: "Model, data and goal. Language models read it.", control: text("description", { maxlength: 1000 }) }),
    field({ field: "seed", label: "Seed", help: "The same seed starts the search, the models and the training alike.", control: numberInput("seed", { min: 0, placeholder: "0" }) }),
    field({ field: "jobs", label: "Trials side by side", help: "More than one only helps where there is room for it.", control: numberInput("jobs", { min: 1, placeholder: "1" }) }),
    field({ field: "patience", label: "Stop without a new best after (trials)", help: "Empty: never for this reason.", control: numberInput("patience", { min: 1 }) }),
    field({ field: "max_failures", label: "Stop after failures in a row", help: "0: never for this reason.", control: numberInput("max_failures", { min: 0, placeholder: "5" }) }),
    field({ field: "fidelity", label: "Fewer epochs first", help: "The parameter that counts epochs, e.g. epochs: most trials get a part of them, the good ones all. Empty: always all.", control: text("fidelity") }),
    explained("prune", "End weak trials early", PRUNE, "none"),
    explained("answers", "How the agents answer", ANSWERS, "choice"),
    explained("keep", "Which files are kept", KEEP, "best"),
    field({ field: "analysis_model", label: "Another model for the analysis", help: "Empty: the model above.", control: text("analysis_model") }),
    field({ field: "optimizer_model", label: "Another model for the decision", help: "Empty: the model above.", control: text("optimizer_model") }),
  ];
  const ticks = [
    tick({ field: "stop_at_target", id: "stop_at_target", label: "Stop at the target", help: "End as soon as a trial reaches the task's target." }),
    tick({ field: "stop_converged", id: "stop_converged", label: "Stop on a plateau", help: "End when the best scores lie close together." }),
    tick({ field: "memory", id: "memory", label: "Use earlier studies", help: "Values that did well in earlier studies of this store are offered.", checked: true }),
  ];
  const all = [...plain.slice(0, 2), minutes, ...plain.slice(2), ...ticks];
  const element = h("details", { class: "more" }, h("summary", {}, "More: budget, stop rules, names"), h("div", { class: "grid" }, all.map((f) => f.element)));

  const body = () => {
    const found = {};
    for (const one of [...plain, ...ticks]) {
      const value = read(one.control);
      if (value !== null) found[one.name] = value;
    }
    const time = read(minutes.control);
    if (time !== null) found.max_seconds = time * 60;
    return found;
  };
  return { element, fields: all, body };
}
