import { html, type View } from "../html.ts";
import { agoText } from "../store/format.ts";
import type { PageContext } from "../store/page-context.ts";
import type { LinkState } from "../store/server-link.ts";
import { plain } from "../store/shown-name.ts";
import { Icon } from "./icon.ts";

const LABELS: Readonly<Record<LinkState, string>> = {
  connecting: "Connecting",
  live: "Live",
  polling: "Every few seconds",
  lost: "Disconnected",
  login: "Logged out",
};

/** Whether the page is up to date, in the bar. */
export function LinkDot({ state }: { readonly state: LinkState }): View {
  return html`<span class=${`link-dot is-${state}`} role="status"><i></i><span>${LABELS[state]}</span></span>`;
}

/** Tells that the server does not answer, or refuses. */
export function LinkBanner({ context: { link, fleet } }: { readonly context: PageContext }): View {
  const { value: failure } = fleet.failure;
  if (link.state.value !== "lost" && failure === undefined) return null;
  const text =
    link.state.value === "lost"
      ? `The server has not answered for ${agoText(link.lostSince.value, fleet.now.value).replace("now", "a moment")}. What you see may be old.`
      : plain(failure ?? "");
  return html`<section class="banner" aria-label="Connection">
    <${Icon} name=${link.state.value === "lost" ? "cloud" : "warning"} />
    <span>${text}</span>
    <button class="button small" type="button" onClick=${() => fleet.restart()}>Try again</button>
  </section>`;
}
