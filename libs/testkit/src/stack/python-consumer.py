"""Reads topics as any consumer may: librdkafka for Kafka, fastavro and the registry for the values. One JSON line a message."""

import base64
import json
import sys

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext


def plain(value):
    return "base64:" + base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def main(brokers, registry, *topics):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "unused", "enable.auto.commit": False})
    decode = AvroDeserializer(SchemaRegistryClient({"url": registry}))
    for topic in topics:
        for partition in sorted(consumer.list_topics(topic, timeout=20).topics[topic].partitions):
            start, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=20)
            consumer.assign([TopicPartition(topic, partition, start)])
            while start < end:
                message = consumer.poll(20)
                if message is None or message.error() is not None:
                    raise RuntimeError(f"{topic} {partition} {start}: {message and message.error()}")
                start = message.offset() + 1
                value = decode(message.value(), SerializationContext(topic, MessageField.VALUE))
                print(json.dumps({"topic": topic, "partition": partition, "offset": message.offset(), "value": value}, default=plain))
    consumer.close()


main(*sys.argv[1:])
