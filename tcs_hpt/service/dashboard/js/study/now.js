// What is happening at this moment: who thinks, what trains, its learning curve.

import { curves } from "../charts/curves.js";
import { announce, h, put, setText } from "../dom.js";
import { number, sentence } from "../format.js";
import { link } from "../router.js";
import { source, thinking } from "../words.js";

const MOST = 4;

/** The live part; it is empty while nothing runs. */
export function now(name) {
  const element = h("section", { class: "now", "aria-labelledby": "now-heading", hidden: true });
  const list = h("div", {});
  put(element, h("h2", { id: "now-heading" }, "Now"), list);
  const shown = new Map();

  const update = (model) => {
    const trials = [...model.running.values()].sort((a, b) => a.number - b.number).slice(0, MOST);
    element.hidden = !trials.length;
    for (const [number_, card] of shown) {
      if (!trials.some((t) => t.number === number_)) {
        card.element.remove();
        shown.delete(number_);
      }
    }
    for (const trial of trials) {
      if (!shown.has(trial.number)) {
        const fresh = trialCard(name, model.detail, trial.number);
        shown.set(trial.number, fresh);
        list.append(fresh.element);
      }
      shown.get(trial.number).update(trial);
    }
  };
  return { element, update };
}

function trialCard(name, detail, number_) {
  const title = h("strong", {}, `Trial ${number_}`);
  const linked = h("a", { href: link("studies", name, "trials", number_) }, `Trial ${number_}`);
  const phase = h("span", {});
  const epoch = h("span", { class: "numbers" });
  const about = h("p", { class: "muted" });
  const chart = curves({ metric: detail.metric, target: detail.target });
  const element = h("div", { class: "card" }, h("p", {}, h("span", { class: "pulse", "aria-hidden": "true" }), title, linked, " ", phase, " ", epoch), about, chart.element);
  let said = "";
  const update = (trial) => {
    const words = phaseWords(trial);
    linked.hidden = trial.phase !== "training"; // before that, the trial does not exist
    title.hidden = !linked.hidden;
    setText(phase, words);
    if (words !== said && said) announce(`Trial ${number_} ${words}`);
    said = words;
    setText(about, aboutWords(trial));
    const last = trial.curve[trial.curve.length - 1];
    setText(epoch, last ? `Epoch ${last.epoch}, ${detail.metric} ${number(last.metrics[detail.metric])}.` : "");
    chart.update(trial.curve);
  };
  return { element, update };
}

function phaseWords(trial) {
  if (trial.phase === "thinking") return `is being chosen: ${thinking(trial.role, trial.attempt)}.`;
  if (trial.phase === "training") return trial.note ? "was asked to stop early." : "is training.";
  if (trial.phase === "starting") return "is about to start.";
  return "is being chosen.";
}

function aboutWords(trial) {
  if (trial.note) return sentence(trial.note);
  if (trial.proposal?.change) return `${trial.proposal.change}, chosen by ${source(trial.proposal.source)}. ${sentence(trial.proposal.reason)}`;
  if (trial.analysis) return `Diagnosis: ${sentence(trial.analysis.problem_diagnosis)} It recommends ${trial.analysis.specific_recommendation || "nothing"}.`;
  return trial.proposal ? `Values by ${source(trial.proposal.source)}.` : "";
}
