import { fileURLToPath } from 'node:url';
import { PYTHON_CURE, pythonEnvironment } from './python-environment.ts';
import { runTool } from './tool.ts';

const SCRIPT = fileURLToPath(new URL('python-consumer.py', import.meta.url));
const REQUIREMENTS = fileURLToPath(new URL('python-consumer-requirements.txt', import.meta.url));

/** A message as the Python consumer decoded it; bytes are texts that begin with `base64:`. */
export interface PythonMessage {
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly value: Readonly<Record<string, unknown>>;
}

/** Everything in these topics, as another language's clients of Kafka and registry read it (confluent-kafka and fastavro). */
export async function consumeWithPython(
  brokers: readonly string[],
  registryUrl: string,
  topics: readonly string[],
): Promise<PythonMessage[]> {
  const python = await pythonEnvironment('python-consumer', REQUIREMENTS, (line) => console.error(`stack: ${line}`));
  const output = await runTool(python, { args: [SCRIPT, brokers.join(','), registryUrl, ...topics], cure: PYTHON_CURE });
  const lines = output.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as PythonMessage);
}
