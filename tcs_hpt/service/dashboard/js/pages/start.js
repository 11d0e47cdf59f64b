// Start a study: a form that says what each choice means, and shows what would run before it does.

import { get, post } from "../api.js";
import { h, put } from "../dom.js";
import { count, number, sentence } from "../format.js";
import { go, link } from "../router.js";
import { field, numberInput, read, select } from "../start/fields.js";
import { manifestField } from "../start/manifest.js";
import { parameterTable } from "../start/parameters.js";
import { preview } from "../start/preview.js";
import { moreSettings } from "../start/settings.js";
import { STARTS, aim } from "../words.js";

/** The form. `?task=` and `?method=` choose the first values. */
export async function start(place, { query, signal }) {
  const [info, tasks, models] = await Promise.all([get("info", {}, signal), get("tasks", {}, signal), get("models", {}, signal)]);
  const byName = new Map(tasks.items.map((t) => [t.name, t]));
  const methods = new Map(info.methods.map((m) => [m.name, m]));
  const who = whoTrains();
  const task = taskField(tasks.items, query.get("task"));
  const profile = field({ field: "profile", label: "Size", help: null, control: h("select", { id: "profile" }) });
  const manifest = manifestField();
  const params = parameterTable();
  const method = methodField(info.methods, query.get("method"));
  const model = modelField(models);
  const trials = field({ field: "trials", label: "Trials", help: "How many configurations are tried in all. Ten is what this was made for.", control: numberInput("trials", { value: 10, min: 1 }) });
  const first = field({ field: "start", label: "First values", help: STARTS.defaults, control: select("start", STARTS, "defaults") });
  const more = moreSettings();
  const button = h("button", { type: "submit", class: "primary" }, "Start the study");

  const own = h("div", { class: "stack" }, task.element, profile.element);
  const table = h("details", { class: "more" }, h("summary", {}, "Parameters: choose what is tuned"), params.element);
  const body = () => {
    const common = { method: read(method.control), trials: read(trials.control), start: read(first.control), ...more.body() };
    if (needsModel()) common.model = read(model.control) ?? "auto";
    if (who.external()) return { ...common, manifest: manifest.read() };
    const fix = params.fixed();
    return { ...common, task: read(task.control), ...(read(profile.control) ? { profile: read(profile.control) } : {}), ...(Object.keys(fix).length ? { fix } : {}) };
  };
  const fields = () => [task, profile, manifest, method, model, trials, first, ...more.fields, ...params.fields()];
  const shown = preview({ body, fields });

  function needsModel() {
    const name = method.control.value.split(":")[0];
    return methods.get(method.control.value)?.needs_model ?? methods.get(name)?.needs_model ?? true;
  }

  function arrange() {
    own.hidden = table.hidden = who.external();
    manifest.element.hidden = !who.external();
    model.element.hidden = !needsModel();
    method.explain(sentence(methods.get(method.control.value)?.what ?? ""));
    first.explain(STARTS[first.control.value]);
  }

  function taskChosen() {
    const chosen = byName.get(task.control.value);
    if (!chosen) return;
    params.show(chosen.params);
    const sizes = profileNames(chosen);
    put(profile.control, h("option", { value: "" }, "as usual"), sizes.map((name) => h("option", { value: name }, name)));
    profile.element.hidden = !sizes.length;
    profile.explain("smoke takes seconds a trial, quick about a minute, paper wants a GPU. As usual is quick for built-in tasks.");
    task.explain(...aboutTask(chosen));
  }

  task.control.addEventListener("change", taskChosen);
  const form = h("form", { class: "start", novalidate: true, onsubmit: submit, onchange: () => { arrange(); shown.soon(); }, oninput: shown.soon },
    who.element, own, manifest.element, method.element, model.element,
    h("div", { class: "grid" }, trials.element, first.element), table, more.element,
    h("p", { class: "row" }, button));

  async function submit(event) {
    event.preventDefault();
    shown.stop();
    button.disabled = true;
    try {
      const made = await post("studies", body());
      go(link("studies", made.name));
    } catch (error) {
      shown.fail(error);
      (form.querySelector("[aria-invalid]") ?? shown.element).scrollIntoView({ block: "center" });
      form.querySelector("[aria-invalid]")?.focus();
    } finally {
      button.disabled = false;
    }
  }

  put(place, h("h1", {}, "Start a study"),
    h("p", { class: "lead" }, "A study tries configurations of one task, one after the other, and learns from each."),
    h("div", { class: "beside" }, form, shown.element));
  signal.addEventListener("abort", shown.stop);
  taskChosen();
  arrange();
  shown.check();
  return "Start a study";
}

function whoTrains() {
  const radio = (value, checked) => h("input", { type: "radio", name: "who", id: `who-${value}`, value, checked });
  const outside = radio("external", false);
  const element = h("fieldset", { class: "choice" }, h("legend", {}, "Who runs the trials?"),
    h("p", {}, radio("here", true), h("label", { for: "who-here" }, "This service: it runs the task's training script.")),
    h("p", {}, outside, h("label", { for: "who-external" }, "I do: the service proposes values, and I send it the results.")));
  return { element, external: () => outside.checked };
}

function profileNames(task) {
  return Array.isArray(task.profiles) ? task.profiles.map((p) => p.name ?? p) : Object.keys(task.profiles ?? {});
}

function taskField(items, wanted) {
  const control = h("select", { id: "task" }, items.map((t) => h("option", { value: t.name }, t.title && t.title !== t.name ? `${t.name}: ${t.title}` : t.name)));
  const usable = items.find((t) => t.name === wanted) ?? items.find((t) => t.name === "mlp_digits") ?? items.find((t) => !t.missing_extra);
  if (usable) control.value = usable.name;
  return field({ field: "task", label: "Task", help: null, control });
}

function aboutTask(task) {
  if (task.problem) return [h("strong", { class: "bad" }, sentence(task.problem))];
  const target = task.target === null || task.target === undefined ? "" : `, target ${number(task.target)}`;
  return [
    sentence(task.description), h("br"),
    `${count(task.params.length, "parameter")}; ${task.metric} ${aim(task.direction)}${target}.`,
    task.missing_extra ? h("strong", { class: "bad" }, h("br"), `It needs more packages: ${task.install || `pip install "tcs-hpt[${task.missing_extra}]"`}`) : null,
  ];
}

function methodField(items, wanted) {
  const names = items.map((m) => m.name);
  const control = h("select", { id: "method" }, names.map((name) => h("option", { value: name }, name)));
  control.value = names.includes(wanted) ? wanted : names[0];
  return field({ field: "method", label: "Method: who proposes the values", help: null, control });
}

function modelField(models) {
  const control = h("input", { type: "text", id: "model", list: "models", value: "auto", autocomplete: "off", spellcheck: "false" });
  const made = field({ field: "model", label: "Language model", help: null, control });
  const auto = models.auto?.name ? `auto takes ${models.auto.name} now. ${sentence(models.auto.reason)}` : `auto finds no model at the moment. ${sentence(models.auto?.reason)}`;
  made.explain(auto);
  made.element.append(h("datalist", { id: "models" }, h("option", { value: "auto" }), models.items.map((m) => h("option", { value: m.name },
    [{ true: "here", false: "not here yet" }[m.present], m.parameters, m.licence].filter(Boolean).join(", ")))));
  return made;
}
