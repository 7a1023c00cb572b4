import { type DeliveryQuery, deliveryLimitOf } from "../model/delivery-entry.ts";
import { PAGE_BYTES } from "../model/event-entry.ts";
import { type CreationOrder, type SessionListQuery, sessionLimitOf } from "../model/session-list.ts";
import { toText } from "../model/stored-text.ts";
import { isOfUnfinished, type TurnQuery, turnLimitOf } from "../model/turn-entry.ts";
import type { UsageDimension, UsageQuery } from "../model/usage-entry.ts";
import { checksumIn, NO_OUTCOME, renewedIn } from "./sqlite-checksum.ts";

/** Adds to recorded spending. */
const SUMS = Object.fromEntries(
  ["cost_usd", "input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"].map(
    (column) => [column, `spending.${column} + excluded.${column}`],
  ),
);

/** Returns the checksum of an unfinished turn with these changes. */
function progressIn(changed: { readonly [column: string]: string }): string {
  return checksumIn("progress", { ended_at: "NULL", outcome: String(NO_OUTCOME), ...changed });
}

/** All statements of the journal. Placeholders have no numbers: early releases of Node 24 do not support them. */
const statements = {
  /* Changes a row if the batch is the next one and this owner still owns the journal. */
  count: "UPDATE owner SET written = ? WHERE id = ? AND written < ?",
  isOwner: "SELECT 1 FROM owner WHERE id = ?",

  saveSession: `INSERT INTO sessions (key, supervisor, conversation_id, memory, saved_at, checksum)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET conversation_id = excluded.conversation_id,
      memory = excluded.memory, saved_at = excluded.saved_at, checksum = excluded.checksum`,
  /* Apart, because an update that names an indexed column writes its index even if the value is the same. */
  moveSession: "UPDATE sessions SET supervisor = ? WHERE key = ? AND supervisor <> ?",
  describeSession: `UPDATE sessions SET created_at = ?, title = ?, labels = ?, archived_at = ?, description_memory = ?,
      description_checksum = ?
    WHERE key = ?`,
  forgetLabels: "DELETE FROM session_labels WHERE key = ?",
  addLabel: "INSERT OR IGNORE INTO session_labels (label, value, key) SELECT ?, ?, key FROM sessions WHERE key = ?",
  forgetSession: "DELETE FROM sessions WHERE key = ?",
  forgetTurns: "DELETE FROM turns WHERE session = ?",
  forgetApprovals: "DELETE FROM approvals WHERE session = ?",
  leaveResidue: "INSERT OR IGNORE INTO residue (only) VALUES (1)",
  hasResidue: "SELECT 1 FROM residue",
  noResidue: "DELETE FROM residue",
  forgetConversations: "DELETE FROM conversations WHERE session = ?",
  renameSpender: `UPDATE spending SET session = ?, checksum = ${renewedIn("spending", { session: "?" })},
      turns_checksum = ${renewedIn("spending_turns", { session: "?" }, "turns_checksum")}
    WHERE session = ?`,
  leaveConversation: `INSERT INTO conversations (session, conversation_id, memory, left_at, checksum)
    VALUES (?, ?, ?, ?, ?)`,
  eraseConversation: "DELETE FROM conversations WHERE session = ? AND conversation_id = ?",
  conversations: "SELECT * FROM conversations WHERE session = ? ORDER BY seq",
  sessions: "SELECT * FROM sessions WHERE key IN (SELECT value FROM json_each(?))",
  /* No byte of UTF-8 sorts after FF. */
  unfinishedBeginning: `SELECT DISTINCT session FROM turns
    WHERE ended_at IS NULL AND session >= ? AND session < ? || CAST(x'ff' AS TEXT)`,

  acceptTurn: `INSERT INTO turns (id, session, prompt, prompt_kind, position, durable, timeout_ms, queue_timeout_ms, accepted_at,
      origin, metadata, asked_by, state, attempts, prompt_id, touched, accepted_checksum, details_checksum,
      progress_checksum, asker_checksum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
  /* The checksum tells that the turn was accepted with this prompt. */
  storeTurnContent: `INSERT OR IGNORE INTO contents (hash, media_type, checksum, data)
    SELECT ?, ?, ?, ? WHERE EXISTS (SELECT 1 FROM turns WHERE id = ? AND accepted_checksum = ?)`,
  referFromTurn: `INSERT OR IGNORE INTO turn_contents (hash, turn, session)
    SELECT ?, seq, session FROM turns WHERE id = ? AND accepted_checksum = ?`,
  withdrawTurn: "DELETE FROM turns WHERE id = ? AND attempts = 0 AND ended_at IS NULL",
  beginTurn: `UPDATE turns SET state = 'running', attempts = ?, prompt_id = ?, touched = 0,
      progress_checksum = ${progressIn({ state: "'running'", prompt_id: "?", attempts: "?", touched: "0" })}
    WHERE id = ? AND ended_at IS NULL`,
  touchTurn: `UPDATE turns SET touched = 1, progress_checksum = ${progressIn({ touched: "1" })}
    WHERE id = ? AND ended_at IS NULL`,
  requeueTurn: `UPDATE turns SET state = 'queued', position = ?, attempts = coalesce(?, attempts),
      progress_checksum = ${progressIn({ state: "'queued'", position: "?", attempts: "coalesce(?, attempts)" })}
    WHERE id = ? AND ended_at IS NULL`,
  endTurn: `UPDATE turns SET state = ?, ended_at = ?, outcome = ?,
      progress_checksum = ${progressIn({ state: "?", ended_at: "?", outcome: "?" })}
    WHERE id = ? AND ended_at IS NULL`,
  turn: "SELECT * FROM turns WHERE id = ?",
  unfinishedTurns: `SELECT * FROM turns WHERE session IN (SELECT value FROM json_each(?)) AND ended_at IS NULL
    ORDER BY state = 'running' DESC, position, seq`,

  requestApproval: `INSERT INTO approvals (id, session, tool, input, requested_at, checksum) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`,
  settleApproval: `UPDATE approvals SET outcome = ?, settled_at = ?,
      checksum = ${renewedIn("approvals", { outcome: "?", settled_at: "?" })}
    WHERE id = ? AND settled_at IS NULL`,
  approvals: "SELECT * FROM approvals WHERE session = ? ORDER BY requested_at DESC, seq DESC LIMIT ?",

  saveJob: `INSERT INTO jobs (id, session, prompt, prompt_kind, due_at, created_at, terms, checksum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO UPDATE SET session = excluded.session, prompt = excluded.prompt,
      prompt_kind = excluded.prompt_kind, due_at = excluded.due_at, created_at = excluded.created_at,
      terms = excluded.terms, checksum = excluded.checksum`,
  addJob: `INSERT INTO jobs (id, session, prompt, prompt_kind, due_at, created_at, terms, checksum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (id) DO NOTHING`,
  dropJob: "DELETE FROM jobs WHERE id = ?",
  forgetJobs: "DELETE FROM jobs WHERE session = ?",
  job: "SELECT * FROM jobs WHERE id = ?",
  dueBeginning: `SELECT DISTINCT session FROM jobs
    WHERE session >= ? AND session < ? || CAST(x'ff' AS TEXT) AND due_at <= ?`,

  dueDelivery: `INSERT INTO deliveries (session, endpoint, supervisor, after_number, at, checksum)
    VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (session, endpoint) DO UPDATE SET supervisor = excluded.supervisor,
      after_number = min(after_number, excluded.after_number), at = max(at, excluded.at),
      checksum = ${renewedIn("deliveries", {
        supervisor: "excluded.supervisor",
        after_number: "min(after_number, excluded.after_number)",
        at: "max(at, excluded.at)",
      })}`,
  advanceDelivery: `UPDATE deliveries SET after_number = ?, at = ?,
      checksum = ${renewedIn("deliveries", { after_number: "?", at: "?" })}
    WHERE session = ? AND endpoint = ?`,
  endDelivery: "DELETE FROM deliveries WHERE session = ? AND endpoint = ?",
  forgetDeliveries: "DELETE FROM deliveries WHERE session = ?",

  /* Selects only numbers, so that rows are then read one at a time. */
  turnsOf: "SELECT seq FROM turns WHERE session = ? ORDER BY seq",
  jobsOf: "SELECT seq FROM jobs WHERE session = ? ORDER BY seq",
  jobAt: "SELECT * FROM jobs WHERE seq = ?",
  approvalsOf: "SELECT seq FROM approvals WHERE session = ? ORDER BY seq",
  turnAt: "SELECT * FROM turns WHERE seq = ?",
  approvalAt: "SELECT * FROM approvals WHERE seq = ?",
  extent: `SELECT (SELECT count(*) FROM turns WHERE session = ?) AS turns,
    (SELECT count(*) FROM approvals WHERE session = ?) AS approvals,
    (SELECT coalesce(sum(last - first + 1), 0) FROM event_logs JOIN events ON log = event_logs.id WHERE session = ?) AS events`,

  spend: `INSERT INTO spending (supervisor, session, model, day, cost_usd, input_tokens, output_tokens,
      cache_read_input_tokens, cache_creation_input_tokens, turns, checksum, turns_checksum)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (session, supervisor, model, day) DO UPDATE SET
      cost_usd = cost_usd + excluded.cost_usd,
      input_tokens = input_tokens + excluded.input_tokens,
      output_tokens = output_tokens + excluded.output_tokens,
      cache_read_input_tokens = cache_read_input_tokens + excluded.cache_read_input_tokens,
      cache_creation_input_tokens = cache_creation_input_tokens + excluded.cache_creation_input_tokens,
      turns = turns + excluded.turns,
      checksum = ${renewedIn("spending", SUMS)},
      turns_checksum = ${renewedIn("spending_turns", { turns: "spending.turns + excluded.turns" }, "turns_checksum")}`,

  /* One at a time: DISTINCT would scan the whole index. */
  nextSessionWithTurns: "SELECT min(session) AS session FROM turns WHERE session >= ? AND session IS NOT ?",
  /* Selects the latest of the excess turns of a session. */
  firstTooMany: `SELECT ended_at, seq FROM turns INDEXED BY ended_turns WHERE session = ? AND ended_at IS NOT NULL
    ORDER BY ended_at DESC, seq DESC LIMIT 1 OFFSET ?`,
  pruneTurns: `DELETE FROM turns WHERE seq IN (
    SELECT seq FROM turns INDEXED BY ended_turns
    WHERE session = ? AND ended_at IS NOT NULL AND (ended_at, seq) <= (?, ?) LIMIT ?)`,
  pruneApprovals: `DELETE FROM approvals WHERE seq IN (
    SELECT seq FROM approvals WHERE settled_at < ? LIMIT ?)`,
  pruneDeliveries: `DELETE FROM deliveries WHERE (session, endpoint) IN (
    SELECT session, endpoint FROM deliveries WHERE at < ? LIMIT ?)`,
};

export const SQL: { readonly [Name in keyof typeof statements]: string } = statements;

/** Also the column names. */
export const DIMENSIONS: readonly UsageDimension[] = ["supervisor", "session", "model", "day"];

/** A query and its parameters. */
interface Question {
  readonly sql: string;
  readonly parameters: readonly (string | number)[];
}

/** Returns the query for a page of sessions. */
export function sessionsQuestion(query: SessionListQuery): Question {
  const { supervisor, archived, labels = {}, range, after, byCreation } = query;
  const [first, ...others] = Object.entries(labels);
  // The table that is read in order.
  const table = first === undefined ? "sessions" : "first";
  // In order of creation, the index by key must not be used.
  const bounded = byCreation === undefined ? `${table}.key` : `+${table}.key`;
  const conditions = [`${bounded} >= ?`, `${bounded} <= ?`];
  if (archived !== undefined) conditions.push(`archived_at IS ${archived ? "NOT NULL" : "NULL"}`);
  const parameters: (string | number)[] = [...(first ?? []).map(toText), ...range.map(toText)];
  if (after !== undefined) {
    conditions.push(`${table}.key > ?`);
    parameters.push(toText(after));
  }
  if (supervisor !== undefined) {
    conditions.push("supervisor = ?");
    parameters.push(toText(supervisor));
  }
  if (byCreation !== undefined) {
    const bounds = creationBounds(byCreation, `${table}.key`);
    conditions.push(...bounds.conditions);
    parameters.push(...bounds.parameters);
  }
  for (const label of others) {
    conditions.push("EXISTS (SELECT 1 FROM session_labels WHERE label = ? AND value = ? AND key = first.key)");
    parameters.push(...label.map(toText));
  }
  const from =
    first === undefined
      ? "sessions WHERE"
      : "session_labels AS first CROSS JOIN sessions ON sessions.key = first.key WHERE first.label = ? AND first.value = ? AND";
  const sql = `SELECT sessions.* FROM ${from} ${conditions.join(" AND ")} ORDER BY ${orderOf(byCreation, `${table}.key`)} LIMIT ?`;
  return { sql, parameters: [...parameters, sessionLimitOf(query)] };
}

/** The expression of the indexes by creation. */
const CREATED = "coalesce(created_at, 0)";

function creationBounds(
  { newestFirst, after, from, to }: CreationOrder,
  key: string,
): { readonly conditions: string[]; readonly parameters: (string | number)[] } {
  const conditions: string[] = [];
  const parameters: (string | number)[] = [];
  if (from !== undefined) conditions.push(`${CREATED} >= ?`);
  if (from !== undefined) parameters.push(from);
  if (to !== undefined) conditions.push(`${CREATED} <= ?`);
  if (to !== undefined) parameters.push(to);
  if (after !== undefined) {
    const than = newestFirst ? "<" : ">";
    // The first condition bounds the index.
    conditions.push(`${CREATED} ${than}= ? AND (${CREATED} ${than} ? OR ${key} ${than} ?)`);
    parameters.push(after.createdAt, after.createdAt, toText(after.key));
  }
  return { conditions, parameters };
}

function orderOf(order: CreationOrder | undefined, key: string): string {
  if (order === undefined) return key;
  const direction = order.newestFirst ? "DESC" : "ASC";
  return `${CREATED} ${direction}, ${key} ${direction}`;
}

/** Returns the query for a page of turns. */
export function turnsQuestion(query: TurnQuery): Question {
  const { session, states, before } = query;
  // With one session the index has the order.
  const isOfSession = typeof session === "string" ? "session = ?" : "session IN (SELECT value FROM json_each(?))";
  const sessions = typeof session === "string" ? toText(session) : JSON.stringify(session.map(toText));
  const conditions = [isOfSession];
  const parameters: (string | number)[] = [sessions];
  if (before !== undefined) {
    conditions.push(`seq < (SELECT seq FROM turns WHERE id = ? AND ${isOfSession})`);
    parameters.push(toText(before), sessions);
  }
  if (states !== undefined) {
    conditions.push("state IN (SELECT value FROM json_each(?))");
    parameters.push(JSON.stringify(states));
  }
  const unfinished = isOfUnfinished(query);
  if (unfinished) conditions.push("ended_at IS NULL");
  const sql = `SELECT * FROM turns WHERE seq IN (SELECT seq FROM (
      SELECT seq, size, sum(size) OVER (ORDER BY seq DESC ROWS UNBOUNDED PRECEDING) AS total FROM (
        SELECT seq, octet_length(prompt) + coalesce(octet_length(outcome), 0) AS size
        FROM turns ${unfinished ? "INDEXED BY unfinished_turns" : ""}
        WHERE ${conditions.join(" AND ")} ORDER BY seq DESC LIMIT ?))
      WHERE total <= ${PAGE_BYTES} OR total = size)
    ORDER BY seq DESC`;
  return { sql, parameters: [...parameters, turnLimitOf(query)] };
}

/** Returns the query for a page of deliveries. */
export function deliveriesQuestion(query: DeliveryQuery): Question {
  const { supervisor, sessions, after } = query;
  const conditions = ["TRUE"];
  const parameters: (string | number)[] = [];
  if (supervisor !== undefined) {
    conditions.push("supervisor = ?");
    parameters.push(toText(supervisor));
  }
  if (sessions !== undefined) {
    conditions.push("session IN (SELECT value FROM json_each(?))");
    parameters.push(JSON.stringify(sessions.map(toText)));
  }
  if (after !== undefined) {
    conditions.push("(session, endpoint) > (?, ?)");
    parameters.push(toText(after.session), toText(after.endpoint));
  }
  const sql = `SELECT * FROM deliveries WHERE ${conditions.join(" AND ")} ORDER BY session, endpoint LIMIT ?`;
  return { sql, parameters: [...parameters, deliveryLimitOf(query)] };
}

/** Returns the query for spending. */
export function usageQuestion({ supervisor, session, since, until, label, by }: UsageQuery): Question {
  const asked = DIMENSIONS.filter((dimension) => by.includes(dimension));
  const conditions = Object.entries({
    "supervisor = ?": supervisor,
    "session = ?": session,
    "day >= ?": since,
    "day <= ?": until,
  }).flatMap(([sql, value]) => (value === undefined ? [] : [{ sql, value: toText(value) }]));
  const dimensions = [...asked, ...(label === undefined ? [] : ["labels.value"])];
  const columns = [
    ...asked,
    ...(label === undefined ? [] : ["labels.value AS label"]),
    "sum(cost_usd) AS cost_usd",
    "sum(input_tokens) AS input_tokens",
    "sum(output_tokens) AS output_tokens",
    "sum(cache_read_input_tokens) AS cache_read_input_tokens",
    "sum(cache_creation_input_tokens) AS cache_creation_input_tokens",
    "sum(turns) AS turns",
    `sum(checksum IS NOT ${checksumIn("spending")} OR turns_checksum IS NOT ${checksumIn("spending_turns")}) AS damaged`,
  ];
  const where = conditions.length === 0 ? "" : `WHERE ${conditions.map(({ sql }) => sql).join(" AND ")}`;
  const group = dimensions.length === 0 ? "" : `GROUP BY ${dimensions.join(", ")}`;
  // Without a group, SQL returns a row for no spending, too.
  const labels =
    label === undefined
      ? ""
      : "LEFT JOIN session_labels AS labels ON labels.key = spending.session AND labels.label = ?";
  const sql = `SELECT ${columns.join(", ")} FROM spending ${labels} ${where} ${group} HAVING count(*) > 0`;
  const parameters = [...(label === undefined ? [] : [toText(label)]), ...conditions.map(({ value }) => value)];
  return { sql, parameters };
}
