import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runTool } from './tool.ts';

const LEAST_JAVA = 17;
const JAVA_CURE = `install a Java ${LEAST_JAVA} or newer (Debian: apt-get install default-jre-headless), or set JAVA_HOME to one.`;
const MVN_CURE = 'install Apache Maven (Debian: apt-get install maven); it downloads Kafka and the schema registry once.';
/** Pinned, because the one a Maven brings along differs from system to system. */
const PLUGIN = 'org.apache.maven.plugins:maven-dependency-plugin';
/** For one file an old one: newer ones refuse a file whose parent description is not published, and the registry's is not. */
const COPY_ONE = `${PLUGIN}:2.8:copy`;
const COPY_ALL = `${PLUGIN}:3.8.1:copy-dependencies`;

/** The `java` to run services with; refuses one that is too old for them. */
export async function findJava(): Promise<string> {
  const home = process.env.JAVA_HOME;
  const java = home ? join(home, 'bin', 'java') : 'java';
  const said = await runTool(java, { args: ['-version'], cure: JAVA_CURE });
  const version = /version "(?:1\.)?(\d+)/.exec(said)?.[1];
  if (!(Number(version) >= LEAST_JAVA)) throw new Error(`${java} is version ${version ?? 'unknown'}: ${JAVA_CURE}`);
  return java;
}

/** Downloads a library and all it needs into `folder`. */
export async function downloadJars(library: { readonly group: string; readonly name: string; readonly version: string }, folder: string) {
  mkdirSync(folder, { recursive: true });
  const pom = join(folder, 'pom.xml');
  writeFileSync(
    pom,
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>nanosync.stack</groupId><artifactId>${library.name}-runtime</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>${library.group}</groupId><artifactId>${library.name}</artifactId><version>${library.version}</version></dependency></dependencies>
</project>\n`,
  );
  await maven(['-f', pom, COPY_ALL, `-DoutputDirectory=${folder}`, '-DincludeScope=runtime']);
}

/** Downloads one file, named `group:name:version:type:classifier`, into `folder`. */
export async function downloadArtifact(coordinates: string, folder: string): Promise<void> {
  await maven([COPY_ONE, `-Dartifact=${coordinates}`, `-DoutputDirectory=${folder}`]);
}

/** `-C` makes a wrong checksum an error. */
async function maven(args: readonly string[]): Promise<void> {
  await runTool('mvn', { args: ['-B', '-q', '-C', ...args], cure: MVN_CURE });
}
