// A study whose trials the caller runs: the task is described as JSON.

import { ApiError } from "../api.js";
import { h } from "../dom.js";
import { field } from "./fields.js";

const EXAMPLE = {
  schema: 1,
  name: "my_training",
  title: "My training",
  description: "What is trained, on which data.",
  objective: { metric: "val_accuracy", direction: "maximize", target: 0.9 },
  params: {
    lr: { type: "float", low: 0.0001, high: 0.1, log: true, default: 0.001 },
    layers: { type: "int", low: 1, high: 6, default: 2 },
    optimizer: { type: "categorical", choices: ["adam", "sgd"], default: "adam" },
  },
};

/** The field; `read()` gives the manifest, or throws the error that the service would give. */
export function manifestField() {
  const control = h("textarea", { id: "manifest", rows: 16, spellcheck: "false", class: "code", value: JSON.stringify(EXAMPLE, null, 2) });
  const made = field({
    field: "manifest",
    label: "The task as JSON",
    help: "The same as a task.toml, without a command: name, objective, and the parameters with their ranges. What stands here is an example to change.",
    control,
  });
  const read = () => {
    try {
      return JSON.parse(control.value);
    } catch (error) {
      throw new ApiError(422, { detail: "The task is not JSON.", errors: [{ pointer: "/manifest", detail: `This is not JSON: ${error.message}` }] });
    }
  };
  return { ...made, read };
}
