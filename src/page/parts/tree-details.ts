import { html, type View } from "../html.ts";
import { ACTIONS } from "../store/actions.ts";
import { pathOf } from "../store/address.ts";
import { carryOut } from "../store/carry-out.ts";
import { actOnChild, CHILD_ACTIONS, type ChildAction, childActions } from "../store/child-actions.ts";
import { bytesText, fullTimeText, plural, sinceText, timeLeft } from "../store/format.ts";
import { keyOf } from "../store/name.ts";
import { confirmed, notify, notifyFailure, type PageContext } from "../store/page-context.ts";
import { plain } from "../store/shown-name.ts";
import type { TreeFeed } from "../store/tree-feed.ts";
import type { TreeItem } from "../store/tree-item.ts";
import {
  exitsOf,
  intensityBrief,
  intensityText,
  retryOf,
  type ShownExit,
  seriesOf,
  strategyText,
} from "../store/tree-text.ts";
import { type Fact, Facts } from "./facts.ts";
import { Icon } from "./icon.ts";
import { LongText } from "./long-text.ts";
import { possibleActions } from "./session-menu.ts";
import { StateBadge } from "./state-badge.ts";
import { States } from "./tree-view.ts";

interface TreeDetailsProps {
  readonly context: PageContext;
  readonly feed: TreeFeed;
  readonly item: TreeItem;
  /** Whether somebody has chosen the item. Only then a narrow page has room for it. */
  readonly chosen: boolean;
  readonly close: () => void;
}

/** What is known of a child of the tree, and what can be done with it. */
export function TreeDetails({ context, feed, item, chosen, close }: TreeDetailsProps): View {
  const { kind, label, state, name, node } = item;
  const exits = exitsOf(node);
  const reason = reasonOf(item, feed);
  const hasState = kind !== "template" && kind !== "pool";
  return html`<section class=${chosen ? "tree-details" : "tree-details is-default"} aria-labelledby="details-title">
    <div class="tree-title">
      <h2 id="details-title">${label}</h2>
      <button class="icon-button" type="button" aria-label="Close the details" onClick=${close}><${Icon} name="close" /></button>
    </div>
    <p class="tree-kind">
      <span class="quiet">${kind}</span>
      ${hasState && html`<${StateBadge} state=${state} />`}
      ${name !== undefined && html`<a class="text-link" href=${context.navigation.href(pathOf({ page: "session", name }))}>Show its record</a>`}
    </p>
    ${reason !== undefined && html`<p class=${reason.bad ? "bad" : "warn"}>${plain(reason.text)}</p>`}
    <${KnownFacts} context=${context} item=${item} />
    <${Actions} context=${context} feed=${feed} item=${item} />
    ${
      exits.length > 0 &&
      html`<h3>Last exits</h3>
        <ol class="tree-exits">
          ${exits.map((exit, index) => html`<${Exit} key=${exit.at} exit=${exit} now=${context.fleet.now.value} open=${index === 0} />`)}
        </ol>`
    }
  </section>`;
}

/** Why the child, or for the root the whole supervisor, is not healthy. */
function reasonOf({ node, name }: TreeItem, feed: TreeFeed): { text: string; bad: boolean } | undefined {
  const health = feed.health.value;
  if (health === undefined) return undefined;
  if (node !== undefined && "capacity" in node) {
    const { status, phase, journal, details } = health;
    if (status === "healthy" && phase === "running") return undefined;
    const parts = [
      phase === "running" ? undefined : `It is ${phase}.`,
      journal,
      details.length === 0 ? undefined : `${plural(details.length, "session")} not healthy.`,
    ];
    return { text: parts.filter((part) => part !== undefined).join(" "), bad: status === "unhealthy" };
  }
  const found = name === undefined ? undefined : health.details.find((one) => keyOf(one.name) === keyOf(name));
  return found && { text: found.reason, bad: found.status === "unhealthy" };
}

function KnownFacts({ context, item }: Pick<TreeDetailsProps, "context" | "item">): View {
  const now = context.fleet.now.value;
  const retryAt = retryOf(item.node);
  const facts: (Fact | undefined)[] = [
    ...ownFacts(item),
    retryAt === undefined
      ? undefined
      : ["Back-off", html`tries again in <b title=${fullTimeText(retryAt)}>${timeLeft(retryAt, now)}</b>`],
    item.state === "quarantined"
      ? ["Quarantine", "It stays stopped until somebody restarts it or changes its options. The other children go on."]
      : undefined,
  ];
  return html`<${Facts} facts=${facts} />`;
}

function ownFacts(item: TreeItem): (Fact | undefined)[] {
  const { node } = item;
  const series = seriesOf(node);
  const allowed = item.intensity === undefined ? "" : `; allowed are ${intensityBrief(item.intensity)}`;
  const inSeries = series === 0 ? undefined : (["In this series", `${plural(series, "restart")}${allowed}`] as const);
  if (node === undefined) return [];
  switch (node.kind) {
    case "supervisor":
      return [
        ["Strategy", html`<b>${plain(node.strategy)}</b> ${strategyText(node.strategy)}`],
        ["Restarts", intensityText(node.intensity)],
        inSeries,
        item.children.length === 0 ? undefined : ["Sessions", html`<${States} item=${item} />`],
      ];
    case "session": {
      const { pid, memoryBytes, restarts, starts, mailbox } = node.status;
      return [
        pid === undefined
          ? undefined
          : ["Process", memoryBytes === undefined ? `${pid}` : `${pid}, ${bytesText(memoryBytes)}`],
        ["Restarts", `${plural(restarts, "restart")}, ${plural(starts, "start")} in all`],
        inSeries,
        mailbox === 0 ? undefined : ["Mailbox", `${plural(mailbox, "turn")} waiting`],
      ];
    }
    case "worker":
      return [inSeries];
    case "template":
      return [["In memory", html`<${States} item=${item} />`]];
    case "pool": {
      const { size, min, max, lent, idle, waiting, jobs, shortfall } = node.status;
      return [
        ["Members", min === max ? `${size}` : `${size}, of ${min} to ${max}`],
        ["Use", `${lent} lent, ${idle} idle`],
        ["In line", `${plural(waiting, "caller")}, ${plural(jobs, "job")}`],
        shortfall === undefined ? undefined : ["Shortfall", html`<span class="warn">${plain(shortfall)}</span>`],
        ["States", html`<${States} item=${item} />`],
      ];
    }
  }
}

function Exit({ exit, now, open }: { readonly exit: ShownExit; readonly now: number; readonly open: boolean }): View {
  const { at, message, class: kind, how, stderr } = exit;
  return html`<li>
    <p>
      <time class="quiet" title=${fullTimeText(at)}>${sinceText(at, now)}</time>
      ${kind !== undefined && html`<span class="tag bad">${plain(kind).replaceAll("_", " ")}</span>`}
      ${how !== undefined && html`<span class="quiet">${plain(how)}</span>`}
    </p>
    <p>${plain(message)}</p>
    ${stderr !== undefined && html`<details open=${open}><summary>stderr</summary><${LongText} text=${stderr} label="stderr" kind="output" /></details>`}
  </li>`;
}

function Actions({ context, feed, item }: Pick<TreeDetailsProps, "context" | "feed" | "item">): View {
  const { name, child, state, node } = item;
  const info = name === undefined ? undefined : context.fleet.rows.value.get(keyOf(name))?.info;
  const scopes = context.fleet.server.value?.caller.scopes ?? [];
  const own = info === undefined ? [] : possibleActions(context, [info]);
  // What the session's own action does, too, is not offered twice.
  const asChild = (child === undefined ? [] : childActions(child, scopes)).filter(
    (action) => action !== "restart" || !own.includes("restart") || state === "stopped",
  );
  if (own.length + asChild.length === 0 || (node !== undefined && "capacity" in node)) return null;
  return html`<div class="tree-actions">
    ${own.map(
      (action) => html`<button
        key=${action}
        type="button"
        class=${action === "stop" ? "button small danger" : "button small"}
        onClick=${() => info !== undefined && void carryOut(context, action, [info]).then(() => feed.touch())}
      >
        ${ACTIONS[action].label}
      </button>`,
    )}
    ${asChild.map(
      (action) => html`<button
        key=${`${action} child`}
        type="button"
        class=${action === "restart" ? "button small" : "button small danger"}
        onClick=${() => void carryOutOnChild(context, feed, action, item)}
      >
        ${CHILD_ACTIONS[action].label}
      </button>`,
    )}
  </div>`;
}

/** Carries out an action on a child, after a question if something is lost, and reports how it went. */
async function carryOutOnChild(
  { link, fleet }: PageContext,
  feed: TreeFeed,
  action: ChildAction,
  { child, label, name }: TreeItem,
): Promise<void> {
  if (child === undefined) return;
  const { label: verb, done, loses } = CHILD_ACTIONS[action];
  const text = loses(child);
  if (text !== undefined && !(await confirmed({ title: `${verb} ${label}?`, text, confirm: verb }))) return;
  try {
    await actOnChild(link.client, action, child);
    notify(`${label} is ${done}.`);
  } catch (error) {
    notifyFailure(error, `${label}: `);
  }
  if (name !== undefined) fleet.touch(name);
  await feed.read();
}
