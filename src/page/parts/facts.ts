import { html, type View } from "../html.ts";

/** What is known under a name. A fact without a value is not shown. */
export type Fact = readonly [name: string, value: View | string | undefined, title?: string | undefined];

/** Facts with their names, one a line. */
export function Facts({ facts }: { readonly facts: readonly (Fact | undefined)[] }): View {
  const known = facts.filter((fact) => fact?.[1] !== undefined && fact[1] !== "").filter((fact) => fact !== undefined);
  if (known.length === 0) return null;
  return html`<dl class="facts">
    ${known.map(([name, value, title]) => html`<div key=${name}><dt>${name}</dt><dd title=${title}>${value}</dd></div>`)}
  </dl>`;
}
