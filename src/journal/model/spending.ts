/** Tokens that the models used. */
export interface Usage {
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadInputTokens: number;
  readonly cacheCreationInputTokens: number;
}

/** Spending: US dollars, as Claude Code estimates them, and tokens. */
export interface Spending {
  readonly costUsd: number;
  readonly usage: Usage;
}

/** Spending on one model. */
export interface ModelSpending extends Spending {
  readonly model: string;
}

export const NOTHING_SPENT: Spending = {
  costUsd: 0,
  usage: { inputTokens: 0, outputTokens: 0, cacheReadInputTokens: 0, cacheCreationInputTokens: 0 },
};

/** Returns the spending of each model with the turns that count for it: all of them for the model that cost most. */
export function withTurns(models: readonly ModelSpending[], turns = 0): (ModelSpending & { readonly turns: number })[] {
  const [first] = models;
  if (first === undefined) return [];
  const most = models.reduce((one, other) => (other.costUsd > one.costUsd ? other : one), first);
  return models.map((spending) => ({ ...spending, turns: spending === most ? turns : 0 }));
}

/** Returns the spending by model, each once. */
export function byModel(spendings: readonly ModelSpending[]): ModelSpending[] {
  if (spendings.length <= 1) return [...spendings];
  const groups = Map.groupBy(spendings, ({ model }) => model);
  return [...groups].map(([model, group]) => ({ model, ...sumOf(group) }));
}

/** Returns the sum of `spendings`. */
export function sumOf(spendings: Iterable<Spending>): Spending {
  let { costUsd, usage } = NOTHING_SPENT;
  for (const other of spendings) {
    costUsd += other.costUsd;
    usage = {
      inputTokens: usage.inputTokens + other.usage.inputTokens,
      outputTokens: usage.outputTokens + other.usage.outputTokens,
      cacheReadInputTokens: usage.cacheReadInputTokens + other.usage.cacheReadInputTokens,
      cacheCreationInputTokens: usage.cacheCreationInputTokens + other.usage.cacheCreationInputTokens,
    };
  }
  return { costUsd, usage };
}
