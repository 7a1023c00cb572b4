/** The templates, with what each is. */
export const TEMPLATES = {
  chat: "a page with a conversation for each visitor",
  worker: "jobs for files of a folder, through a pool",
  bot: "messages over HTTP, a conversation for each chat",
} as const;

export type TemplateName = keyof typeof TEMPLATES;

export const TEMPLATE_NAMES: readonly TemplateName[] = Object.keys(TEMPLATES) as TemplateName[];

export function isTemplate(name: string): name is TemplateName {
  return Object.hasOwn(TEMPLATES, name);
}
