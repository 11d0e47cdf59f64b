// One study: what it looks for, how far it is, where it searched, and every trial.

import { studyPath } from "../api.js";
import { history } from "../charts/history.js";
import { parameters } from "../charts/parameters.js";
import { connection } from "../connection.js";
import { announce, h, put } from "../dom.js";
import { follow } from "../events.js";
import { number } from "../format.js";
import { problemNote, problemPanel } from "../parts/problem.js";
import { go, link } from "../router.js";
import { actions } from "../study/actions.js";
import { external } from "../study/external.js";
import { facts } from "../study/facts.js";
import { headline } from "../study/headline.js";
import { StudyModel } from "../study/model.js";
import { now } from "../study/now.js";
import { questions } from "../study/questions.js";
import { trialList } from "../study/trials.js";

const DRAW = 120;

/** The page of a study. */
export async function study(place, { parts, signal }) {
  const name = parts[1];
  let timer = 0;
  const model = new StudyModel(name, signal, () => {
    timer ||= setTimeout(() => { timer = 0; draw(); }, DRAW); // a burst of epochs is drawn once
  });
  await model.load();

  const top = headline();
  const buttons = actions(name, model, (detail) => { model.detail = detail; model.refresh(); draw(); });
  const elsewhere = external(model.detail);
  const live = now(name);
  const strips = parameters();
  const list = trialList(name, signal);
  const settings = facts();
  const chart = history({
    data: () => ({ ...model.progress, metric: model.detail.metric, direction: model.detail.direction, target: model.detail.target }),
    open: (n) => go(link("studies", name, "trials", n)),
  });

  put(place,
    h("p", { class: "crumbs" }, h("a", { href: "#/" }, "Studies")),
    h("div", { class: "heading" }, h("h1", {}, name), buttons.element),
    top.element,
    elsewhere.element,
    live.element,
    h("section", { "aria-labelledby": "scores-heading" }, h("h2", { id: "scores-heading" }, "Scores"), chart.element),
    h("section", { "aria-labelledby": "where-heading" }, h("h2", { id: "where-heading" }, "Where it looked"),
      h("p", { class: "muted" }, "Each parameter on its own scale, from the lowest to the highest allowed value; older trials are higher up."), strips.element),
    list.element,
    questions(name),
    settings.element);

  let best = model.detail.best;
  function draw() {
    if (signal.aborted) return;
    top.update(model.detail);
    buttons.update(model.detail);
    elsewhere.update(model.detail);
    live.update(model);
    chart.update();
    strips.update({
      params: model.detail.params, columns: model.progress.params, values: model.progress.values,
      direction: model.detail.direction, bestIndex: model.bestIndex,
    });
    list.update(model);
    settings.update(model.detail);
    if (model.detail.best !== best) {
      best = model.detail.best;
      announce(`New best ${model.detail.metric} ${number(best)} in trial ${model.detail.best_trial}.`);
    }
  }
  draw();

  let first = true;
  follow(studyPath(name, "/events"), {
    signal,
    after: model.last,
    wanted: async () => {
      // The first time it was just read. Later this also finds what no event tells: somebody resumed it, or a worker took it.
      if (!first) await model.refreshNow();
      first = false;
      return model.live && !model.quiet;
    },
    onEvent: ({ value }) => model.apply(value.event ?? value),
    onState: connection,
  }).catch((error) => {
    if (error.status === 404) put(place, problemPanel(error));
    else place.append(problemNote(error));
  });
  return name;
}
