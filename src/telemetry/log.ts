import { on } from "../events.ts";
import { withoutUndefined } from "../fields.ts";
import { formatName } from "../names.ts";

/** A logger that takes fields and a message, such as pino. */
export interface EventLogger {
  /** Logs normal operation. */
  info(fields: object, message: string): void;
  /** Logs a failure. */
  warn(fields: object, message: string): void;
}

/**
 * Logs a line for each ended turn, restart, rejected and changed key, fault, quarantine and settled approval, for each global session
 * that this node claims, each time that the node gives up its sessions, a clock that differs from the database's, each failover or gap of a PostgreSQL database, and each event that a webhook did not get. The line of
 * a turn has the session, the length of the prompt, the result, the duration, the cost and the tokens. No line contains a key.
 *
 * @param logger the logger for the lines
 * @param options options of the lines
 * @param options.prompts whether lines include the text of prompts. Default `false`
 * @returns a function that stops logging
 * @example
 * const stop = logEvents(pino());
 */
export function logEvents(logger: EventLogger, { prompts = false }: { readonly prompts?: boolean } = {}): () => void {
  const unsubscribes = [
    on(
      "castellan:turn:end",
      ({ session, supervisor, turnId, state, left, attempts, prompt, durationMs, reply, error }) => {
        const fields = {
          session,
          supervisor,
          turnId,
          result: left ? "left" : state,
          attempts,
          promptLength: prompt.length,
          durationMs,
          ...(prompts ? { prompt } : {}),
          ...(reply === undefined ? {} : { costUsd: reply.costUsd, ...reply.usage }),
          ...(error === undefined ? {} : { code: error.code, error: error.message }),
        };
        logger[error === undefined ? "info" : "warn"](fields, `turn of ${formatName(session)} ${fields.result}`);
      },
    ),
    on("castellan:session:restart", ({ session, supervisor, exit, restarts }) => {
      const fields = { session, supervisor, restarts, class: exit.class, exit: exit.message, pid: exit.pid };
      logger.warn(fields, `session ${formatName(session)} lost its process and restarts`);
    }),
    on("castellan:session:rekey", (fields) => {
      logger.warn(
        { ...fields },
        `session ${formatName(fields.session)} had its key rejected, and uses the changed key`,
      );
    }),
    on("castellan:session:fault", ({ session, supervisor, kind, server, reason }) => {
      const fields = withoutUndefined({ session, supervisor, kind, server, reason });
      logger.warn(fields, `session ${formatName(session)} has a fault`);
    }),
    on("castellan:session:quarantine", ({ session, supervisor, lastExits }) => {
      const fields = {
        session,
        supervisor,
        exits: lastExits.map(({ class: of, message }) => ({ class: of, message })),
      };
      logger.warn(fields, `session ${formatName(session)} is quarantined`);
    }),
    on("castellan:global:claim", ({ session, node, epoch }) => {
      logger.info({ session, node, epoch }, `global session ${formatName(session)} is on ${node}`);
    }),
    on("castellan:node:lose", ({ node, error, sessions }) => {
      logger.warn(
        { node, sessions, code: error.code, error: error.message },
        `node ${node} gave up its global sessions`,
      );
    }),
    on("castellan:database:failover", ({ node, era }) => {
      logger.warn({ node, era }, `the database of node ${node} failed over or was restored`);
    }),
    on("castellan:clock:skew", ({ node, aheadMs, over }) => {
      const words = over ? "agrees with the database's again" : "differs from the database's";
      logger.warn({ node, aheadMs }, `the clock of node ${node} ${words}`);
    }),
    on("castellan:supervisor:handover", ({ supervisor, ...facts }) => {
      logger.info({ supervisor, ...facts }, `${supervisor} handed its journal over to the next process`);
    }),
    on("castellan:database:gap", ({ location, content, count, lost }) => {
      logger.warn(
        { location, content, count, lost },
        `${location} lacks commits that it had confirmed; ${lost ? "they are lost" : "Castellan wrote them again"}`,
      );
    }),
    on("castellan:webhook:drop", ({ endpoint, session, reason, event }) => {
      logger.warn(
        { endpoint, session, reason, event },
        `events of ${formatName(session)} were not delivered to ${endpoint}`,
      );
    }),
    on("castellan:approval:settle", ({ session, supervisor, id, outcome }) => {
      logger.info({ session, supervisor, id, outcome }, `approval of ${formatName(session)} ${outcome}`);
    }),
  ];
  return () => {
    for (const unsubscribe of unsubscribes) unsubscribe();
  };
}
