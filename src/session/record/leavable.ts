/**
 * Makes a generator end at once when its reader leaves: `return()` first calls `leave`, which has a pending `next()` resolve. A
 * plain async generator queues `return()` behind the pending `next()`, which may wait for an event that never comes.
 */
export function leavable<Value>(
  values: AsyncGenerator<Value, void, undefined>,
  leave: () => void,
): AsyncGenerator<Value, void, undefined> {
  const end = values.return.bind(values);
  values.return = (value) => {
    leave();
    return end(value);
  };
  return values;
}
