import type { NodeInfo } from "../../wire/cluster.ts";
import { html, type View } from "../html.ts";
import { conditionOf, type NodeCondition } from "../store/cluster.ts";
import { agoText, countText, partText, plural } from "../store/format.ts";
import { plain } from "../store/shown-name.ts";
import { UsedBar } from "./card.ts";

const CONDITION_TEXT: Readonly<Record<NodeCondition, string>> = {
  alive: "Alive",
  silent: "Silent",
  draining: "Draining",
  dead: "Dead",
};

const EXPLAINED: Readonly<Partial<Record<NodeCondition, string>>> = {
  silent: "It has missed beats. If it stays silent, other nodes take its sessions.",
  draining: "It takes no more sessions, and hands its own over.",
  dead: "Other nodes continue its sessions, each when somebody needs it, or at once if it has unfinished turns.",
};

interface NodeCardProps {
  readonly node: NodeInfo;
  readonly own: boolean;
  /** The number of sessions in the list that it owns. */
  readonly sessions: number | undefined;
  readonly showSessions: () => void;
  /** Undefined if the user may not, or the node is another one. */
  readonly drain: (() => void) | undefined;
}

/** A node: what it does, and how it is. */
export function NodeCard({ node, own, sessions, showSessions, drain }: NodeCardProps): View {
  const { name, address, release, load, maxProcesses, labels, silentForMs, report } = node;
  const condition = conditionOf(node);
  const beat = agoText(0, silentForMs).replace("now", "a moment");
  // What a dead node told last is over.
  const told = condition === "dead" ? undefined : report;
  const processes = told?.processes ?? (condition === "dead" ? undefined : load);
  const releases = [
    `Castellan ${plain(release)}`,
    report && `Node.js ${plain(report.nodeRelease)}`,
    report?.claudeRelease && `Claude Code ${plain(report.claudeRelease)}`,
  ].filter(Boolean);
  const explained = EXPLAINED[condition];
  return html`<li class=${`node is-node-${condition}`} data-node=${name}>
    <header>
      <h3>${plain(name)}</h3>
      ${own && html`<span class="tag">this server</span>`}
      <span class="state"><i></i>${CONDITION_TEXT[condition]}</span>
    </header>
    <dl>
      <div>
        <dt>Sessions</dt>
        <dd><button class="link" type="button" onClick=${showSessions} title="Show them">${countText(sessions ?? told?.sessions ?? 0)}</button></dd>
      </div>
      <div><dt>Running turns</dt><dd>${told === undefined ? "–" : countText(told.turns)}</dd></div>
      <div>
        <dt>Processes</dt>
        <dd>
          ${processes === undefined ? "–" : countText(processes)}${maxProcesses !== undefined && ` of ${countText(maxProcesses)}`}
          ${(told?.waiting ?? 0) > 0 && html` <b class="warn">${countText(told?.waiting ?? 0)} in line</b>`}
        </dd>
        ${maxProcesses !== undefined && html`<${UsedBar} used=${(processes ?? 0) / maxProcesses} />`}
      </div>
      <div>
        <dt>Machine memory</dt>
        <dd>${told === undefined ? "–" : partText(told.memory.usedBytes, told.memory.totalBytes)}</dd>
        ${told !== undefined && html`<${UsedBar} used=${told.memory.usedBytes / told.memory.totalBytes} />`}
      </div>
    </dl>
    ${
      Object.keys(labels).length > 0 &&
      html`<p class="node-labels">
        ${Object.entries(labels).map(([label, value]) => html`<span key=${label} class="tag">${plain(`${label}=${value}`)}</span>`)}
      </p>`
    }
    ${explained !== undefined && html`<p class=${condition === "dead" ? "bad" : "warn"}>${explained}</p>`}
    <footer>
      <div>
        <p title="The last renewal of its lease">Last beat ${beat} ago</p>
        <p>${releases.join(", ")}</p>
        <p>${plain(address)}</p>
      </div>
      ${drain !== undefined && html`<button class="button small danger" type="button" onClick=${drain}>Drain</button>`}
    </footer>
  </li>`;
}

/** Tells how many nodes there are, and how many of them work. */
export function nodesNote(nodes: readonly NodeInfo[]): string {
  const counts = (["silent", "draining", "dead"] as const).flatMap((condition) => {
    const count = nodes.filter((node) => conditionOf(node) === condition).length;
    return count === 0 ? [] : `${countText(count)} ${condition}`;
  });
  return counts.length === 0 ? `${plural(nodes.length, "node")}, all alive` : counts.join(", ");
}
