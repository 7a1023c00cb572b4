import { on } from "../events.ts";
import { formatName } from "../names.ts";

/** Takes fields and a message, as pino, and most that are like it, do. */
export interface EventLogger {
  /** Takes what is in order. */
  info(fields: object, message: string): void;
  /** Takes what has failed. */
  warn(fields: object, message: string): void;
}

/**
 * Writes a line for each turn that ends, each restart, each key that is refused and has changed, each fault of a session, each session that is quarantined, each approval, and each global session that
 * this node takes or has to give up, and each time that a PostgreSQL database has lost what it had confirmed: the session, the length
 * of the prompt, the result and the duration; never a key.
 *
 * @param logger where lines go
 * @param options what lines have
 * @param options.prompts whether lines have the text of prompts. Default `false`
 * @returns ends that
 * @example
 * const stop = logEvents(pino());
 */
export function logEvents(logger: EventLogger, { prompts = false }: { readonly prompts?: boolean } = {}): () => void {
  const ends = [
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
      logger.warn(fields, `session ${formatName(session)} lost its process and is started again`);
    }),
    on("castellan:session:rekey", (fields) => {
      logger.warn({ ...fields }, `session ${formatName(fields.session)} had its key refused, and has the changed one`);
    }),
    on("castellan:session:fault", ({ session, supervisor, kind, server, reason }) => {
      const fields = { session, supervisor, kind, ...(server === undefined ? {} : { server }), reason };
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
      logger.warn({ node, sessions, code: error.code, error: error.message }, `node ${node} has given up its sessions`);
    }),
    on("castellan:node:history", ({ node, era }) => {
      logger.warn({ node, era }, `the database of node ${node} has another history than it had`);
    }),
    on("castellan:journal:lack", ({ place, of, count, lost }) => {
      logger.warn(
        { place, of, count, lost },
        `${place} lacks what it had confirmed, ${lost ? "and it is lost" : "which was written once more"}`,
      );
    }),
    on("castellan:approval:settle", ({ session, supervisor, id, outcome }) => {
      logger.info({ session, supervisor, id, outcome }, `approval of ${formatName(session)} ${outcome}`);
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
