import { InvalidArgumentError } from "commander";

/** Adds a label of the form `user=ann`. @throws InvalidArgumentError, which commander reports */
export function addLabel(text: string, labels: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("Expected a name and a value, such as user=ann.");
  return { ...labels, [text.slice(0, at)]: text.slice(at + 1) };
}
