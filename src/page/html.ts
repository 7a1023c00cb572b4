import htm from "htm";
import { h, type VNode } from "preact";

/** What a template makes. */
export type View = VNode | null;

/** Makes elements of a template: texts and attributes are never parsed as markup. */
export const html: (strings: TemplateStringsArray, ...values: readonly unknown[]) => View = htm.bind(h) as (
  strings: TemplateStringsArray,
  ...values: readonly unknown[]
) => View;
