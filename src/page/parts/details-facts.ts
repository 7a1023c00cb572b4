import type { SessionHealth } from "../../wire/session.ts";
import { html, type View } from "../html.ts";
import { bytesText, fullTimeText, sinceText } from "../store/format.ts";
import { valueText } from "../store/option-rows.ts";
import { foundIn, type Read } from "../store/session-details.ts";
import { plain } from "../store/shown-name.ts";
import { Section, type SectionProps } from "./details-section.ts";
import { type Fact, Facts } from "./facts.ts";
import { StateBadge } from "./state-badge.ts";

/** State, process, conversation and health. */
export function DetailsFacts({ context, session, details }: SectionProps): View {
  const now = context.fleet.now.value;
  const inspection = foundIn(details.inspection.value);
  const status = inspection?.status ?? session?.status;
  const option = (name: string): string | undefined => {
    const value = inspection?.options?.[name]?.value;
    return value === undefined ? undefined : valueText(name, value);
  };
  const labels = Object.entries(session?.labels ?? {});
  const time = (at: number | undefined): string | undefined => (at === undefined ? undefined : sinceText(at, now));
  const tasks = (status?.tasks ?? []).filter(({ ambient }) => !ambient);
  const facts: readonly Fact[] = [
    ["State", session === undefined ? "ended" : html`<${StateBadge} state=${session.state} />`],
    ["Health", html`<${Health} read=${details.health.value} check=${() => void details.check()} />`],
    ["Title", session?.title === undefined ? undefined : plain(session.title)],
    [
      "Labels",
      labels.length === 0
        ? undefined
        : html`${labels.map(([name, value]) => html`<span class="tag" key=${name}>${plain(`${name}=${value}`)}</span>`)}`,
    ],
    ["Model", option("model")],
    ["Permission mode", status?.permissionMode ?? option("permissionMode")],
    ["Working directory", option("cwd") && html`<code>${option("cwd")}</code>`],
    ["Conversation", status === undefined ? undefined : html`<code>${plain(status.conversationId)}</code>`],
    [
      "Process",
      status?.pid === undefined
        ? status === undefined
          ? undefined
          : "none"
        : `${status.pid}, started ${time(status.startedAt) ?? ""}`,
      status?.startedAt === undefined ? undefined : fullTimeText(status.startedAt),
    ],
    ["Memory", status?.memoryBytes === undefined ? undefined : bytesText(status.memoryBytes)],
    ["Processes so far", status === undefined ? undefined : String(status.starts)],
    ["Node", session?.node === undefined ? undefined : plain(session.node)],
    [
      "Created",
      time(session?.createdAt),
      session?.createdAt === undefined ? undefined : fullTimeText(session.createdAt),
    ],
    [
      "Background tasks",
      tasks.length === 0 ? undefined : tasks.map(({ description }) => plain(description)).join(", "),
    ],
  ];
  return html`<${Section} title="Session"><${Facts} facts=${facts} /><//>`;
}

const TONES: Readonly<Record<SessionHealth["status"], string>> = {
  healthy: "good",
  degraded: "warn",
  unhealthy: "bad",
};

interface HealthProps {
  readonly read: Read<SessionHealth>;
  readonly check: () => void;
}

function Health({ read, check }: HealthProps): View {
  const health = foundIn(read);
  const text = health === undefined ? (read === "reading" ? "being checked…" : "unknown") : health.status;
  const reason = health?.reason === undefined ? "" : `: ${plain(health.reason)}`;
  return html`<span class=${health === undefined ? "quiet" : TONES[health.status]}>${text}${reason}</span>
    <button class="text-button" type="button" disabled=${read === "reading"} onClick=${check}>Check again</button>`;
}
