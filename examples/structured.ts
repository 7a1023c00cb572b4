import { CastellanError, query, Supervisor, type SupervisorOptions } from "castellan";
import { z } from "zod";

// #region schema
const Invoice = z.object({
  number: z.string(),
  total: z.number(),
  due: z.string().transform((day) => new Date(day)),
});

export type Invoice = z.infer<typeof Invoice>;

export async function startReading(options: SupervisorOptions = {}): Promise<Supervisor> {
  return await Supervisor.start([{ name: "invoices", outputSchema: Invoice, maxTurns: 5 }], options);
}

export async function read(text: string): Promise<Invoice | undefined> {
  const { structured } = await query("invoices", `Read this invoice:\n${text}`, { outputSchema: Invoice });
  return structured; // { number: string; total: number; due: Date } | undefined
}
// #endregion

// #region failure
/** Returns the invoice, or what Claude said in place of one. */
export async function readOrSay(text: string): Promise<Invoice | string | undefined> {
  try {
    return await read(text);
  } catch (error) {
    if (CastellanError.is(error, "TURN_FAILED") && error.details.class === "turn") return error.details.partialText;
    throw error;
  }
}
// #endregion
