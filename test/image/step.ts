/** Runs a step inside of namespaces and tells the parent how it went, which `logs` may explain; resolves to whether it went well. */
export async function step(
  name: string,
  work: () => Promise<void>,
  logs: () => Promise<string> = async () => '',
): Promise<boolean> {
  const started = performance.now();
  const error = await work().then(
    () => undefined,
    (cause: unknown) => (cause instanceof Error ? cause.message : String(cause)),
  );
  const failure = error === undefined ? {} : { error: `${error}\n${await logs().catch(() => '')}` };
  const milliseconds = Math.round(performance.now() - started);
  process.stdout.write(`${JSON.stringify({ name, milliseconds, ...failure })}\n`);
  return error === undefined;
}
