import type { ComponentChildren } from "preact";
import { html, type View } from "../html.ts";
import { Icon, type IconName } from "./icon.ts";

interface CardProps {
  readonly icon: IconName;
  readonly label: string;
  readonly value: string;
  readonly tone?: "warn" | "bad" | undefined;
  /** How much of a limit is used, from 0 to 1. */
  readonly used?: number | undefined;
  readonly children?: ComponentChildren;
}

/** A number with what it is, and a note. */
export function Card({ icon, label, value, tone, used, children }: CardProps): View {
  return html`<div class=${tone === undefined ? "card" : `card ${tone}`}>
    <div class="card-label"><${Icon} name=${icon} />${label}</div>
    <div class="card-value">${value}</div>
    <div class="card-note">${children}</div>
    ${used !== undefined && html`<${UsedBar} used=${used} />`}
  </div>`;
}

/** A quiet bar of how much is used. The text beside it says the same. */
export function UsedBar({ used }: { readonly used: number }): View {
  const width = `${Math.min(Math.max(used, 0), 1) * 100}%`;
  return html`<span class=${used >= 1 ? "used-bar full" : "used-bar"} aria-hidden="true"><i style=${{ width }}></i></span>`;
}
