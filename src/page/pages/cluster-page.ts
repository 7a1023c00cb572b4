import { useEffect, useMemo } from "preact/hooks";
import type { NodeInfo } from "../../wire/cluster.ts";
import type { StoreReport } from "../../wire/storage.ts";
import { html, type View } from "../html.ts";
import { Card } from "../parts/card.ts";
import { EmptyState } from "../parts/empty-state.ts";
import { Icon } from "../parts/icon.ts";
import { NodeCard, nodesNote } from "../parts/node-card.ts";
import { NotRead } from "../parts/not-read.ts";
import { OwnerList } from "../parts/owner-list.ts";
import { conditionOf, isMixed, type OwnersView, ownersQueryOf, ownersViewOf } from "../store/cluster.ts";
import { ClusterFeed } from "../store/cluster-feed.ts";
import { agoText, countText, plural } from "../store/format.ts";
import { confirmed, notify, type PageContext } from "../store/page-context.ts";
import { messageOf, plain } from "../store/shown-name.ts";

/** The nodes of the cluster, which sessions they own, and how journal and database are. */
export function ClusterPage({ context }: { readonly context: PageContext }): View {
  const { fleet } = context;
  const { value: server } = fleet.server;
  const head = html`<header class="page-head">
    <h1 tabindex="-1">Cluster</h1>
    <p>A global session is on one node at a time. Another node continues it when its own is lost.</p>
  </header>`;
  if (server === undefined) return html`${head}<${NotRead} link=${context.link} what="nodes" rows=${8} />`;
  if (!server.inCluster) {
    return html`<h1 tabindex="-1" class="unseen">Cluster</h1>
      <${EmptyState} icon="nodes" title="No cluster" text="This server is on its own: its sessions are on this machine only. The option cluster of a supervisor makes it a node.">
        <a class="button" href=${context.navigation.href("/")}>Show all sessions</a>
      <//>`;
  }
  return html`${head}<${Nodes} context=${context} />`;
}

function Nodes({ context }: { readonly context: PageContext }): View {
  const { fleet, link, navigation } = context;
  const feed = useMemo(() => new ClusterFeed(link, () => document.visibilityState === "visible"), []);
  const { query } = navigation.place.value;
  const view = useMemo(() => ownersViewOf(new URLSearchParams(query)), [query]);
  useEffect(() => {
    feed.start();
    return () => feed.stop();
  }, []);
  const change = (changes: Partial<OwnersView>): void =>
    navigation.go("/cluster", ownersQueryOf({ ...view, ...changes }), { replace: changes.text !== undefined });
  const nodes = feed.nodes.value;
  if (feed.left.value !== undefined) {
    return html`<${EmptyState}
      icon="exit"
      title=${`${plain(fleet.server.value?.node ?? "The node")} has drained`}
      text=${`It has left the cluster and takes no more turns. ${feed.left.value === "cut" ? "Not all turns had ended. " : ""}Its sessions go on elsewhere; the page of another node shows them.`}
    />`;
  }
  if (feed.refused.value) {
    return html`<${EmptyState} icon="key" title="Not for this user" text="Only who reaches all sessions sees the nodes." />`;
  }
  if (nodes === undefined) {
    if (feed.failure.value !== undefined) {
      return html`<${EmptyState} icon="warning" title="The nodes cannot be read" text=${plain(feed.failure.value)} />`;
    }
    return html`<${NotRead} link=${link} what="nodes" rows=${8} />`;
  }
  const owners = feed.owners.value;
  const count = ({ name }: NodeInfo): number | undefined => owners?.filter(({ info }) => info.node === name).length;
  const own = fleet.server.value?.node;
  const mayDrain = fleet.may("operate");
  return html`
    <${Problems} feed=${feed} nodes=${nodes} />
    <${Summary} context=${context} feed=${feed} nodes=${nodes} />
    <section class="panel" aria-labelledby="nodes">
      <header class="panel-head"><h2 id="nodes">Nodes</h2>
        <p>${isMixed(nodes) ? "They run different releases of Castellan, as during a deploy." : ""}</p>
      </header>
      <ul class="nodes">
        ${nodes.map(
          (node) => html`<${NodeCard}
            key=${`${node.name}${node.address}`}
            node=${node}
            own=${node.name === own}
            sessions=${count(node)}
            showSessions=${() => change({ node: node.name })}
            drain=${node.name === own && mayDrain && node.state === "alive" ? () => void drain(context, feed, node.name) : undefined}
          />`,
        )}
      </ul>
    </section>
    <${OwnerList} context=${context} feed=${feed} view=${view} change=${change} />
  `;
}

/** Drains the node of this server, after a question. */
async function drain({ link }: PageContext, feed: ClusterFeed, node: string): Promise<void> {
  const sure = await confirmed({
    title: `Drain ${plain(node)}?`,
    text: "It takes no more turns, hands its global sessions over and stops. Turns have thirty seconds to finish. Its other sessions end.",
    confirm: "Drain",
  });
  if (!sure) return;
  notify(`${plain(node)} drains.`);
  try {
    const { completed } = await link.client.drain();
    feed.leave(completed);
  } catch (error) {
    const why = messageOf(error);
    if (link.state.peek() !== "lost") notify(`${plain(node)}: ${plain(why)}`, { failed: true });
  }
}

interface SummaryProps {
  readonly context: PageContext;
  readonly feed: ClusterFeed;
  readonly nodes: readonly NodeInfo[];
}

function Summary({ context, feed, nodes }: SummaryProps): View {
  const living = nodes.filter((node) => node.state !== "dead");
  const sum = (of: (node: NodeInfo) => number): number => living.reduce((total, node) => total + of(node), 0);
  const processes = sum(({ report, load }) => report?.processes ?? load);
  const limits = living.map(({ maxProcesses }) => maxProcesses);
  const limit = limits.reduce<number | undefined>(
    (total, one) => (total === undefined || one === undefined ? undefined : total + one),
    0,
  );
  const turns = sum(({ report }) => report?.turns ?? 0);
  const owners = feed.owners.value;
  const owned = owners?.filter(({ info }) => info.node !== undefined).length;
  const conditions = nodes.map(conditionOf);
  const tone = conditions.includes("dead") ? "bad" : conditions.includes("silent") ? "warn" : undefined;
  const storage = feed.storage.value;
  return html`<section class="cards costs-cards" aria-label="Summary">
    <${Card} icon="nodes" label="Nodes" value=${countText(living.length)} tone=${tone}>
      ${feed.failure.value === undefined ? nodesNote(nodes) : "As last read"}
    <//>
    <${Card} icon="sessions" label="Global sessions" value=${owners === undefined ? "–" : countText(owners.length)}>
      ${owned === undefined ? "" : `${countText(owned)} on nodes`}
    <//>
    <${Card} icon="chip" label="Processes" value=${countText(processes)} used=${limit === undefined || limit === 0 ? undefined : processes / limit}>
      ${limit === undefined ? "" : `of ${countText(limit)}, `}${plural(turns, "turn")} running
    <//>
    <${StoreCard} context=${context} label="Database" store=${storage?.cluster} />
    <${StoreCard} context=${context} label="Journal of this server" store=${storage?.journal} />
  </section>`;
}

const KINDS = { memory: "In memory", sqlite: "SQLite", postgres: "PostgreSQL", custom: "Custom" } as const;

interface StoreCardProps {
  readonly context: PageContext;
  readonly label: string;
  readonly store: StoreReport | undefined;
}

function StoreCard({ context, label, store }: StoreCardProps): View {
  if (store === undefined) return html`<${Card} icon="database" label=${label} value="–" />`;
  const { kind, version, latencyMs, fault, damage, lastFault, location } = store;
  const value = fault !== undefined ? "Fault" : damage !== undefined ? "Damaged" : latencyText(latencyMs);
  const tone = fault !== undefined ? "bad" : damage !== undefined ? "warn" : undefined;
  const what = `${KINDS[kind]}${version === undefined ? "" : ` ${plain(version)}`}`;
  const last = lastFault === undefined ? "" : `, failed ${agoText(lastFault.at, context.fleet.now.value)} ago`;
  return html`<${Card} icon="database" label=${label} value=${value} tone=${tone}>
    <span title=${plain(fault ?? damage ?? lastFault?.message ?? location)}>${what}${fault === undefined ? last : ""}</span>
  <//>`;
}

function latencyText(ms: number | undefined): string {
  if (ms === undefined) return "–";
  return ms < 1 ? "<1 ms" : `${countText(Math.round(ms))} ms`;
}

interface ProblemsProps {
  readonly feed: ClusterFeed;
  readonly nodes: readonly NodeInfo[];
}

/** What does not work, and what works nevertheless. */
function Problems({ feed, nodes }: ProblemsProps): View {
  const storage = feed.storage.value;
  const dead = nodes.filter(({ state }) => state === "dead").map(({ name }) => plain(name));
  const found: (readonly [string, string])[] = [];
  if (storage?.cluster?.fault !== undefined || feed.failure.value !== undefined) {
    found.push([
      plain(storage?.cluster?.fault ?? feed.failure.value ?? ""),
      "Nodes that cannot reach the database stop their global sessions until they can; accepted turns run then. Sessions that are not global go on. The nodes below are as last read.",
    ]);
  }
  if (storage?.journal.fault !== undefined) {
    found.push([
      plain(storage.journal.fault),
      "Running turns of this server go on; new ones are refused until its journal can be written.",
    ]);
  }
  if (dead.length > 0) {
    const alive = nodes.some(({ state }) => state === "alive");
    found.push([
      `${dead.join(", ")} ${dead.length === 1 ? "is" : "are"} dead.`,
      alive
        ? "Global sessions continue on the other nodes. What is not global on a dead node is back when the node is."
        : "No node takes global sessions. Their turns wait until one joins.",
    ]);
  }
  if (found.length === 0) return null;
  return html`<section class="problems" aria-label="Problems">
    ${found.map(([what, then]) => html`<p key=${what}><${Icon} name="warning" /><span><b>${what}</b> ${then}</span></p>`)}
  </section>`;
}
