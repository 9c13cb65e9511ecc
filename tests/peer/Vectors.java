// Makes the vectors in tests/vectors from Kafka's own generated classes: for every message, record and
// version, a few instances as Kafka writes them, with the JSON that Kafka's converters give. The same seed
// gives the same files.
//
//   javac -cp 'KAFKA_LIBS/*' -d DIR tests/peer/Vectors.java tests/peer/Carried.java
//   java -cp 'DIR:KAFKA_LIBS/*' Vectors KAFKA_LIBS tests/vectors
//
// A message is drawn by walking its schema, which says what a version carries and where null may stand; the
// bytes are then read and written again by the message's class, so that what is committed is what Kafka
// writes.

import com.fasterxml.jackson.databind.JsonNode;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.jar.JarFile;
import java.util.stream.Stream;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.ObjectSerializationCache;
import org.apache.kafka.common.protocol.types.BoundField;
import org.apache.kafka.common.protocol.types.Field;
import org.apache.kafka.common.protocol.types.Schema;
import org.apache.kafka.common.protocol.types.TaggedFields;
import org.apache.kafka.common.protocol.types.Type;
import org.apache.kafka.metadata.MetadataRecordSerde;
import org.apache.kafka.server.common.ApiMessageAndVersion;

public class Vectors {
    private static final long SEED = 20260822;
    private static final int RANDOM_INSTANCES = 6;
    private static final List<String> PACKAGES = List.of(
        "org.apache.kafka.common.message",
        "org.apache.kafka.common.metadata",
        "org.apache.kafka.coordinator.group.generated",
        "org.apache.kafka.coordinator.transaction.generated",
        "org.apache.kafka.coordinator.share.generated");
    // Schemas without a message of their own in a log or on the wire.
    private static final List<String> LEFT_OUT = List.of("ControlRecordTypeSchema", "EndTxnMarker");

    public static void main(String[] args) throws Exception {
        Path libraries = Path.of(args[0]);
        Path target = Path.of(args[1]);
        Map<String, StringBuilder> files = new TreeMap<>();
        for (Map.Entry<String, Class<?>> message : messages(libraries).entrySet()) {
            Class<?> type = message.getValue();
            String kind = kind(type);
            String file = switch (kind) {
                case "request" -> "requests.txt";
                case "response" -> "responses.txt";
                default -> "records.txt";
            };
            int lowest = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
            int highest = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
            for (int version = lowest; version <= highest; version++) {
                for (String line : lines(type, kind, (short) version)) {
                    files.computeIfAbsent(file, name -> new StringBuilder()).append(line).append('\n');
                }
            }
        }
        files.put("apis.txt", apis());
        files.put("carried.txt", Carried.all(messages(libraries).values()));
        for (Map.Entry<String, StringBuilder> file : files.entrySet()) {
            Files.writeString(target.resolve(file.getKey()), file.getValue());
        }
    }

    // Every generated message class that has a converter, by name.
    private static Map<String, Class<?>> messages(Path libraries) throws Exception {
        Map<String, Class<?>> messages = new TreeMap<>();
        List<Path> jars;
        try (Stream<Path> found = Files.list(libraries)) {
            jars = found.filter(jar -> jar.getFileName().toString().matches("kafka-.*[0-9]\\.jar")).toList();
        }
        for (Path jar : jars) {
            try (JarFile opened = new JarFile(jar.toFile())) {
                for (String entry : (Iterable<String>) opened.stream().map(e -> e.getName())::iterator) {
                    String name = entry.replace('/', '.').replace("JsonConverter.class", "");
                    if (!entry.endsWith("JsonConverter.class") || name.contains("$")) {
                        continue;
                    }
                    String simple = name.substring(name.lastIndexOf('.') + 1);
                    String place = name.substring(0, name.lastIndexOf('.'));
                    if (PACKAGES.contains(place) && !LEFT_OUT.contains(simple)) {
                        Class<?> type = Class.forName(name);
                        if (type.getField("SCHEMAS").get(null) != null) {
                            messages.put(simple, type);
                        }
                    }
                }
            }
        }
        return messages;
    }

    static String kind(Class<?> type) {
        String place = type.getPackageName();
        String name = type.getSimpleName();
        if (place.contains(".coordinator.")) {
            return place.split("\\.")[4] + (name.endsWith("Key") ? "-key" : "-value");
        }
        if (place.endsWith(".metadata")) {
            return "metadata";
        }
        return name.endsWith("RequestData") ? "request"
            : name.endsWith("ResponseData") ? "response"
            : name.endsWith("HeaderData") ? "header" : "data";
    }

    static String name(Class<?> type) {
        return type.getSimpleName().replaceAll("(Request|Response)Data$", "");
    }

    // One line an instance: kind, name, version, bytes in hex, JSON.
    private static List<String> lines(Class<?> type, String kind, short version) throws Exception {
        List<String> lines = new ArrayList<>();
        String name = name(type);
        for (int instance = 0; instance < 2 + RANDOM_INSTANCES; instance++) {
            Message message = (Message) type.getConstructor().newInstance();
            if (instance > 0) {
                draw(message, version, instance, instance == 1);
            }
            if (message instanceof RequestHeaderData header) {
                // The header's version follows from the API: Fetch is flexible from 12 on.
                header.setRequestApiKey((short) 1).setRequestApiVersion((short) (version == 1 ? 11 : 12));
            }
            if (kind.equals("data") && version != 0 && type.getSimpleName().equals("LeaderChangeMessage")) {
                type.getMethod("setVersion", short.class).invoke(message, version);
            }
            String hex = HexFormat.of().formatHex(bytes(message, kind, version));
            lines.add(String.join(" ", kind, name, Short.toString(version), hex, json(message, version)));
        }
        return lines;
    }

    /** Fills the message with what a version of it can carry: everything, or anything. */
    static void draw(Message message, short version, int instance, boolean full) throws Exception {
        Class<?> type = message.getClass();
        Schema schema = ((Schema[]) type.getField("SCHEMAS").get(null))[version];
        long seed = SEED + 31L * type.getName().hashCode() + 1009L * version + instance;
        Draw draw = new Draw(new Random(seed * 0x9E3779B97F4A7C15L), full);
        message.read(new ByteBufferAccessor(ByteBuffer.wrap(draw.struct(schema, 0))), version);
    }

    // The message as it stands in a frame or in a record.
    static byte[] bytes(Message message, String kind, short version) {
        if (kind.equals("metadata")) {
            ApiMessageAndVersion record = new ApiMessageAndVersion((ApiMessage) message, version);
            ObjectSerializationCache cache = new ObjectSerializationCache();
            ByteBuffer buffer = ByteBuffer.allocate(MetadataRecordSerde.INSTANCE.recordSize(record, cache));
            MetadataRecordSerde.INSTANCE.write(record, cache, new ByteBufferAccessor(buffer));
            return buffer.array();
        }
        if (kind.endsWith("-key")) {
            return MessageUtil.toCoordinatorTypePrefixedBytes((ApiMessage) message);
        }
        if (kind.endsWith("-value")) {
            return MessageUtil.toVersionPrefixedBytes(version, message);
        }
        return MessageUtil.byteBufferToArray(MessageUtil.toByteBufferAccessor(message, version).buffer());
    }

    private static String json(Message message, short version) throws Exception {
        Class<?> converter = Class.forName(message.getClass().getName() + "JsonConverter");
        Method write = converter.getMethod("write", message.getClass(), short.class, boolean.class);
        return ((JsonNode) write.invoke(null, message, version, true)).toString();
    }

    // One line an API: name, key, versions, highest stable version, header versions of all versions,
    // listeners.
    private static StringBuilder apis() {
        StringBuilder lines = new StringBuilder();
        for (ApiMessageType api : ApiMessageType.values()) {
            short lowest = api.lowestSupportedVersion();
            short highest = api.highestSupportedVersion(true);
            if (lowest > highest || lowest < 0) {
                continue;
            }
            StringBuilder requests = new StringBuilder();
            StringBuilder responses = new StringBuilder();
            for (short version = lowest; version <= highest; version++) {
                requests.append(api.requestHeaderVersion(version));
                responses.append(api.responseHeaderVersion(version));
            }
            lines.append(String.join(" ", api.name, Short.toString(api.apiKey()),
                Short.toString(lowest), Short.toString(highest),
                Short.toString(api.highestSupportedVersion(false)), requests, responses,
                api.listeners().toString().replace(" ", ""))).append('\n');
        }
        return lines;
    }

    /** Draws the bytes of a struct: either every field full and every tag present, or anything at all. */
    private static final class Draw {
        private static final String[] WORDS = {
            "a", "topic-1", "grüße", "日本語", "🦀", "\"quoted\" \\ back", "tab\there", "__consumer_offsets",
            "1.2.3.4",
        };
        // Short in decimal, so that no reader of JSON rounds them.
        private static final double[] FLOATS = {0, 0.5, -2.25, 1048576.125, 1e15};
        private static final int MOST_ELEMENTS = 2;
        // Deep structs have few elements, so that lines stay short.
        private static final int DEEP = 2;

        private final Random random;
        private final boolean full;

        Draw(Random random, boolean full) {
            this.random = random;
            this.full = full;
        }

        byte[] struct(Schema schema, int depth) throws IOException {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            DataOutputStream out = new DataOutputStream(bytes);
            for (BoundField field : schema.fields()) {
                value(field.def.type, out, depth);
            }
            return bytes.toByteArray();
        }

        private void value(Type type, DataOutputStream out, int depth) throws IOException {
            if (type instanceof Schema schema) {
                if (!type.isNullable()) {
                    out.write(struct(schema, depth + 1));
                } else if (isNull()) {
                    out.writeByte(-1);
                } else {
                    out.writeByte(1);
                    out.write(struct(schema, depth + 1));
                }
            } else if (type instanceof TaggedFields tags) {
                tagged(tags, out, depth);
            } else if (type.isArray()) {
                array(type, out, depth);
            } else {
                plain(type.toString(), out);
            }
        }

        private boolean isNull() {
            return !full && random.nextInt(3) == 0;
        }

        private void array(Type type, DataOutputStream out, int depth) throws IOException {
            boolean compact = type.getClass().getSimpleName().startsWith("Compact");
            if (type.isNullable() && isNull()) {
                length(out, -1, compact, true);
                return;
            }
            int most = depth >= DEEP ? 1 : MOST_ELEMENTS;
            int elements = full ? 1 + random.nextInt(most) : random.nextInt(most + 1);
            length(out, elements, compact, true);
            for (int i = 0; i < elements; i++) {
                value(type.arrayElementType().get(), out, depth);
            }
        }

        private void tagged(TaggedFields tags, DataOutputStream out, int depth) throws IOException {
            TreeMap<Integer, byte[]> drawn = new TreeMap<>();
            for (Map.Entry<Integer, Field> tag : tags.fields().entrySet()) {
                if (full || random.nextInt(2) == 0) {
                    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
                    taggedValue(tag.getValue().type, new DataOutputStream(bytes), depth);
                    drawn.put(tag.getKey(), bytes.toByteArray());
                }
            }
            // Unknown tags, now and then: one of a single byte's number, one of more.
            for (int tag : new int[] {100, 70_000}) {
                if (random.nextInt(full ? 4 : 8) == 0) {
                    byte[] value = new byte[random.nextInt(4)];
                    random.nextBytes(value);
                    drawn.put(tag, value);
                }
            }
            uvarint(out, drawn.size());
            for (Map.Entry<Integer, byte[]> tag : drawn.entrySet()) {
                uvarint(out, tag.getKey());
                uvarint(out, tag.getValue().length);
                out.write(tag.getValue());
            }
        }

        // In a tag, a nullable struct has a variable-length 0 or 1 in front of it; elsewhere a byte, -1 or 1.
        private void taggedValue(Type type, DataOutputStream out, int depth) throws IOException {
            if (type instanceof Schema schema && type.isNullable()) {
                boolean isNull = isNull();
                uvarint(out, isNull ? 0 : 1);
                out.write(isNull ? new byte[0] : struct(schema, depth + 1));
            } else {
                value(type, out, depth);
            }
        }

        private void plain(String type, DataOutputStream out) throws IOException {
            switch (type) {
                case "BOOLEAN" -> out.writeByte(random.nextInt(2));
                case "INT8" -> out.writeByte((int) number(8));
                case "INT16", "UINT16" -> out.writeShort((int) number(16));
                case "INT32", "UINT32" -> out.writeInt((int) number(32));
                case "INT64" -> out.writeLong(number(64));
                case "FLOAT64" -> out.writeDouble(FLOATS[random.nextInt(FLOATS.length)]);
                case "UUID" -> {
                    boolean zero = !full && random.nextInt(4) == 0;
                    out.writeLong(zero ? 0 : random.nextLong());
                    out.writeLong(zero ? 0 : random.nextLong());
                }
                default -> run(type, out);
            }
        }

        // Strings, bytes and records: a length, then that many bytes.
        private void run(String type, DataOutputStream out) throws IOException {
            boolean compact = type.startsWith("COMPACT_");
            boolean text = type.endsWith("STRING");
            if (type.contains("NULLABLE_") && isNull()) {
                length(out, -1, compact, !text);
                return;
            }
            byte[] bytes = WORDS[random.nextInt(WORDS.length)].getBytes(StandardCharsets.UTF_8);
            if (!text) {
                bytes = new byte[1 + random.nextInt(5)];
                random.nextBytes(bytes);
            } else if (!type.matches("(COMPACT_)?(NULLABLE_)?STRING")) {
                throw new IllegalStateException("no such type: " + type);
            }
            if (!full && random.nextInt(4) == 0) {
                bytes = new byte[0];
            }
            length(out, bytes.length, compact, !text);
            out.write(bytes);
        }

        private long number(int bits) {
            long least = -1L << (bits - 1);
            return switch (random.nextInt(6)) {
                case 0 -> least;
                case 1 -> ~least;
                case 2 -> -1;
                case 3 -> full ? 7 : 0;
                case 4 -> 1 + random.nextInt(100);
                default -> random.nextLong() >> (64 - bits);
            };
        }

        private static void length(DataOutputStream out, int length, boolean compact, boolean wide)
                throws IOException {
            if (compact) {
                uvarint(out, length + 1);
            } else if (wide) {
                out.writeInt(length);
            } else {
                out.writeShort(length);
            }
        }

        private static void uvarint(DataOutputStream out, int value) throws IOException {
            for (; (value & ~0x7f) != 0; value >>>= 7) {
                out.writeByte(value & 0x7f | 0x80);
            }
            out.writeByte(value);
        }
    }
}
