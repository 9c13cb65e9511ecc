// What becomes of each single field when a message is written in a lower version than the one that knows it:
// Kafka leaves it out, refuses, or refuses only a null. `Vectors.java` calls this.

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HexFormat;
import java.util.List;
import java.util.zip.CRC32;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;

final class Carried {
    private static final List<String> NOT_FIELDS = List.of("_unknownTaggedFields", "prev", "next");

    private Carried() {}

    // One line a field: kind, name, version, bytes in hex, then for each other version the CRC-32 of the
    // bytes or a dash where Kafka refuses.
    static StringBuilder all(Collection<Class<?>> types) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (Class<?> type : types) {
            short lowest = type.getField("LOWEST_SUPPORTED_VERSION").getShort(null);
            short highest = type.getField("HIGHEST_SUPPORTED_VERSION").getShort(null);
            if (lowest < highest && !Vectors.kind(type).equals("header")) {
                fields(type, lowest, lowest, highest, lines);
                fields(type, highest, lowest, highest, lines);
            }
        }
        return lines;
    }

    private static void fields(Class<?> type, short from, short lowest, short highest, StringBuilder lines)
            throws Exception {
        String kind = Vectors.kind(type);
        Message full = (Message) type.getConstructor().newInstance();
        Vectors.draw(full, from, 0, true);
        for (Object variant : variants(full)) {
            byte[] bytes = written((Message) variant, kind, from);
            if (bytes == null) {
                continue;
            }
            // Only what this version carries can be read from it.
            Message read = (Message) type.getConstructor().newInstance();
            read.read(MessageUtil.toByteBufferAccessor((Message) variant, from), from);
            lines.append(String.join(" ", kind, Vectors.name(type), Short.toString(from),
                HexFormat.of().formatHex(bytes)));
            for (short version = lowest; version <= highest; version++) {
                if (version != from) {
                    byte[] other = written(read, kind, version);
                    lines.append(' ').append(version).append(':').append(other == null ? "-" : crc(other));
                }
            }
            lines.append('\n');
        }
    }

    private static byte[] written(Message message, String kind, short version) {
        try {
            return Vectors.bytes(message, kind, version);
        } catch (UnsupportedVersionException | NullPointerException refused) {
            return null;
        }
    }

    private static String crc(byte[] bytes) {
        CRC32 crc = new CRC32();
        crc.update(bytes);
        return Long.toHexString(crc.getValue());
    }

    // Copies of a struct that have one field of its own or of a struct within it, and defaults otherwise.
    private static List<Object> variants(Object full) throws Exception {
        List<Object> variants = new ArrayList<>();
        for (Field field : full.getClass().getDeclaredFields()) {
            if (Modifier.isStatic(field.getModifiers()) || NOT_FIELDS.contains(field.getName())) {
                continue;
            }
            field.setAccessible(true);
            for (Object value : values(field.get(full))) {
                Object variant = full.getClass().getConstructor().newInstance();
                field.set(variant, value);
                variants.add(variant);
            }
            if (!field.getType().isPrimitive() && field.getType() != Uuid.class) {
                Object variant = full.getClass().getConstructor().newInstance();
                field.set(variant, null);
                variants.add(variant);
            }
        }
        return variants;
    }

    private static List<Object> values(Object value) throws Exception {
        if (value instanceof Message) {
            return variants(value);
        }
        if (value instanceof Collection<?> elements && !elements.isEmpty()
                && elements.iterator().next() instanceof Message element) {
            List<Object> values = new ArrayList<>();
            for (Object variant : variants(element)) {
                Constructor<?> empty = value.getClass().getConstructor();
                @SuppressWarnings("unchecked")
                Collection<Object> single = (Collection<Object>) empty.newInstance();
                single.add(variant);
                values.add(single);
            }
            return values;
        }
        List<Object> values = new ArrayList<>();
        values.add(value);
        return values;
    }
}
