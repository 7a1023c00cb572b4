/** Returns what is in the field of an event. */
export function fieldText({ currentTarget }: Event): string {
  return (currentTarget as HTMLInputElement).value;
}
