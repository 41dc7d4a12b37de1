import { z } from 'zod';
import { API_ERRORS } from './errors.ts';
import type { Route } from './routes.ts';
import { ROUTES } from './routes.ts';
import { ERROR } from './schemas.ts';

type Json = Record<string, unknown>;

/** The OpenAPI 3.1 document of the API, made from the table of routes. */
export function openApiDocument(version: string): Json {
  const paths: Record<string, Json> = {};
  for (const [name, route] of Object.entries<Route>(ROUTES)) {
    paths[route.path] = { ...paths[route.path], [route.method.toLowerCase()]: operation(name, route) };
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'nanosync',
      version,
      description: 'Runs pipelines that copy database tables into a warehouse and follow every change.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    paths,
    components: {
      schemas: { Error: jsonSchema(ERROR, 'output') },
      responses: {
        Error: {
          description: `Not done. By code: ${Object.entries(API_ERRORS)
            .map(([code, { status }]) => `${code} ${status}`)
            .join(', ')}.`,
          content: { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } },
        },
      },
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ token: [] }, {}],
  };
}

function operation(name: string, route: Route): Json {
  return {
    operationId: name,
    summary: route.summary,
    parameters: [...parameters(route.params, 'path'), ...parameters(route.query, 'query')],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(route.body, 'input') } } } }),
    responses: {
      '200': {
        description: route.lines === true ? 'Lines, each a JSON object of this shape.' : 'Done.',
        content: { [route.lines === true ? 'application/x-ndjson' : 'application/json']: { schema: jsonSchema(route.answer, 'output') } },
      },
      default: { $ref: '#/components/responses/Error' },
    },
  };
}

function parameters(schema: z.ZodType | undefined, where: 'path' | 'query'): readonly Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = jsonSchema(schema, 'input') as {
    readonly properties?: Readonly<Record<string, Json>>;
    readonly required?: readonly string[];
  };
  return Object.entries(properties).map(([name, { description, ...type }]) => ({
    name,
    in: where,
    required: where === 'path' || required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema: type,
  }));
}

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io, target: 'draft-2020-12' }) as Json;
  return json;
}
