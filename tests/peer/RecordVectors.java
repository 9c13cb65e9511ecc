import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Random;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.message.KRaftVersionRecord;
import org.apache.kafka.common.message.LeaderChangeMessage;
import org.apache.kafka.common.message.SnapshotFooterRecord;
import org.apache.kafka.common.message.SnapshotHeaderRecord;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.utils.ByteBufferOutputStream;
import org.apache.kafka.common.utils.Crc32C;

/**
 * Record batches by Kafka's own classes, as bytes and as text. With the jars of Kafka 4.3.1 in LIBS:
 *   java -cp "LIBS/*" tests/peer/RecordVectors.java write > tests/vectors/record_batches.txt
 *   java -cp "LIBS/*" tests/peer/RecordVectors.java check FILE    compares the text with what Kafka reads
 * A case is a line "case NAME", a line "bytes HEX", then what Kafka reads from those bytes: per batch a line
 * "batch ..", per record a line "record ..". Bytes longer than 64 are told by length and CRC-32C.
 */
public class RecordVectors {
    static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    static final HexFormat HEX = HexFormat.of();

    public static void main(String[] args) throws Exception {
        if (args.length == 1 && args[0].equals("write")) {
            write();
        } else if (args.length == 2 && args[0].equals("check")) {
            check(Path.of(args[1]));
        } else {
            System.err.println("usage: write | check FILE");
            System.exit(2);
        }
        OUT.flush();
    }

    static void write() throws Exception {
        for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
            plainCases(codec, Compression.of(codec).build());
        }
        emit("gzip level 1", many(Compression.gzip().level(1).build()));
        emit("gzip level 9", many(Compression.gzip().level(9).build()));
        emit("lz4 level 17", many(Compression.lz4().level(17).build()));
        emit("zstd level -5", many(Compression.zstd().level(-5).build()));
        emit("zstd level 22", many(Compression.zstd().level(22).build()));
        headerCases();
        controlCases();
        for (byte magic = 0; magic <= 1; magic++) {
            for (String codec : List.of("none", "gzip", "snappy", "lz4")) {
                legacyCases(magic, codec, Compression.of(codec).build());
            }
        }
        ByteBuffer two = ByteBuffer.allocate(1 << 12);
        two.put(records(builder(Compression.NONE, 5), 2));
        two.put(records(builder(Compression.gzip().build(), 7), 3));
        emit("two batches", two.flip());
        ByteBuffer cut = records(builder(Compression.NONE, 5), 2);
        int whole = cut.remaining();
        ByteBuffer longer = ByteBuffer.allocate(whole * 2 - 1).put(cut.duplicate());
        emit("second batch cut short", longer.put(cut.duplicate().limit(whole - 1)).flip());
    }

    static MemoryRecordsBuilder builder(Compression compression, long baseOffset) {
        return builder(
            compression, baseOffset, TimestampType.CREATE_TIME, -1, -1L, (short) -1, -1, false, -1L);
    }

    static MemoryRecordsBuilder builder(Compression compression, long baseOffset, TimestampType type,
            int leaderEpoch, long producerId, short producerEpoch, int baseSequence, boolean transactional,
            long deleteHorizon) {
        long appendTime = type == TimestampType.LOG_APPEND_TIME ? 1_700_000_123_456L : -1L;
        return new MemoryRecordsBuilder(new ByteBufferOutputStream(1 << 10), (byte) 2, compression, type,
            baseOffset, appendTime, producerId, producerEpoch, baseSequence, transactional, false,
            leaderEpoch, 1 << 20, deleteHorizon);
    }

    static ByteBuffer records(MemoryRecordsBuilder builder, int count) {
        for (int i = 0; i < count; i++) {
            builder.append(1_700_000_000_000L + i * 7L, bytes("key" + i), bytes("value" + i));
        }
        return builder.build().buffer();
    }

    static ByteBuffer many(Compression compression) {
        return records(builder(compression, 0), 50);
    }

    static void plainCases(String codec, Compression compression) {
        emit(codec + " one record", records(builder(compression, 0), 1));
        MemoryRecordsBuilder odd =
            builder(compression, 1_000, TimestampType.CREATE_TIME, 9, -1L, (short) -1, -1, false, -1L);
        odd.appendWithOffset(1_000, 50L, null, bytes("null key"));
        odd.appendWithOffset(1_001, -1L, bytes("null value"), null);
        odd.appendWithOffset(1_100, Long.MAX_VALUE / 2, bytes(""), bytes(""));
        odd.appendWithOffset(70_000, 0L, (byte[]) null, null);
        odd.appendWithOffset(70_001, 51L, bytes("headers"), bytes("v"), new Header[] {
            new RecordHeader("a", bytes("1")), new RecordHeader("a", null), new RecordHeader("", bytes("")),
            new RecordHeader("\u00fcber", bytes("long value, long value, long value, long value"))});
        emit(codec + " odd records", odd.build().buffer());
        emit(codec + " append time", records(
            builder(compression, 3, TimestampType.LOG_APPEND_TIME, 2, -1L, (short) -1, -1, false, -1L), 3));
        MemoryRecordsBuilder large = builder(compression, 0);
        byte[] noise = new byte[codec.equals("lz4") ? 70_000 : 200];
        new Random(7).nextBytes(noise);
        byte[] repeated = new byte[codec.equals("none") ? 300 : 150_000];
        for (int i = 0; i < repeated.length; i++) repeated[i] = (byte) (i % 100);
        large.append(1L, bytes("noise"), noise);
        large.append(2L, bytes("repeated"), repeated);
        emit(codec + " large values", large.build().buffer());
        emit(codec + " many records", many(compression));
    }

    static void headerCases() {
        emit("idempotent", records(
            builder(Compression.NONE, 10, TimestampType.CREATE_TIME, 1, 4_000L, (short) 3, 17, false, -1L),
            3));
        emit("transactional, sequence wraps", records(builder(Compression.NONE, 10,
            TimestampType.CREATE_TIME, 1, Long.MAX_VALUE, Short.MAX_VALUE, Integer.MAX_VALUE - 1, true, -1L),
            4));
        MemoryRecordsBuilder compacted = builder(
            Compression.NONE, 500, TimestampType.CREATE_TIME, 4, 5L, (short) 0, 100, false,
            1_800_000_000_000L);
        compacted.appendWithOffset(510, 1_700_000_000_000L, bytes("k"), null);
        compacted.overrideLastOffset(600);
        emit("delete horizon, last offset kept", compacted.build().buffer());
        ByteBuffer empty = ByteBuffer.allocate(61);
        DefaultRecordBatch.writeEmptyHeader(empty, (byte) 2, 5L, (short) 1, 100, 500L, 600L, 4,
            TimestampType.CREATE_TIME, 1_700_000_000_000L, true, false);
        emit("emptied by compaction", empty.flip());
    }

    static void controlCases() {
        emit("commit marker", MemoryRecords.withEndTransactionMarker(
            77L, 1_700_000_000_000L, 6, 9L, (short) 2,
            new EndTransactionMarker(ControlRecordType.COMMIT, 31)).buffer());
        emit("abort marker", MemoryRecords.withEndTransactionMarker(
            78L, 1_700_000_000_001L, 6, 9L, (short) 2,
            new EndTransactionMarker(ControlRecordType.ABORT, -1)).buffer());
        emit("leader change", MemoryRecords.withLeaderChangeMessage(0L, 5L, 1, ByteBuffer.allocate(512),
            new LeaderChangeMessage().setLeaderId(1)
                .setVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)))
                .setGrantingVoters(List.of(new LeaderChangeMessage.Voter().setVoterId(1)))).buffer());
        emit("snapshot header", MemoryRecords.withSnapshotHeaderRecord(0L, 5L, 1, ByteBuffer.allocate(512),
            new SnapshotHeaderRecord().setLastContainedLogTimestamp(4L)).buffer());
        emit("snapshot footer", MemoryRecords.withSnapshotFooterRecord(9L, 5L, 1, ByteBuffer.allocate(512),
            new SnapshotFooterRecord()).buffer());
        emit("kraft version", MemoryRecords.withKRaftVersionRecord(2L, 5L, 1, ByteBuffer.allocate(512),
            new KRaftVersionRecord().setKRaftVersion((short) 1)).buffer());
    }

    static void legacyCases(byte magic, String codec, Compression compression) {
        String name = "magic " + magic + " " + codec;
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(1 << 10), magic, compression, TimestampType.CREATE_TIME, 40L);
        long timestamp = magic == 0 ? -1L : 1_700_000_000_000L;
        builder.appendWithOffset(40, timestamp, bytes("k0"), bytes("v0"));
        builder.appendWithOffset(41, magic == 0 ? -1L : timestamp + 9, null, bytes("v1"));
        builder.appendWithOffset(44, timestamp, bytes("k2"), null);
        emit(name, builder.build().buffer());
        if (magic == 1) {
            MemoryRecordsBuilder appendTime = MemoryRecords.builder(ByteBuffer.allocate(1 << 10), magic,
                compression, TimestampType.LOG_APPEND_TIME, 40L, 1_700_000_123_456L);
            appendTime.append(timestamp, bytes("k0"), bytes("v0"));
            appendTime.append(timestamp, bytes("k1"), bytes("v1"));
            emit(name + " append time", appendTime.build().buffer());
        }
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static void emit(String name, ByteBuffer buffer) {
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        OUT.println("case " + name);
        OUT.println("bytes " + HEX.formatHex(bytes));
        describe(bytes).forEach(OUT::println);
    }

    static void check(Path file) throws Exception {
        List<String> expected = new ArrayList<>();
        byte[] bytes = new byte[0];
        int cases = 0;
        String name = "";
        List<String> lines = new ArrayList<>(Files.readAllLines(file));
        lines.add("case end");
        for (String line : lines) {
            if (line.startsWith("case ")) {
                List<String> found = describe(bytes);
                if (!found.equals(expected)) {
                    throw new AssertionError(name + "\nexpected " + expected + "\nKafka reads " + found);
                }
                name = line;
                expected = new ArrayList<>();
                cases++;
            } else if (line.startsWith("bytes ")) {
                bytes = HEX.parseHex(line.substring(6));
            } else {
                expected.add(line);
            }
        }
        OUT.println(cases - 1 + " cases agree");
    }

    /** What Kafka reads from the bytes. */
    static List<String> describe(byte[] bytes) {
        List<String> lines = new ArrayList<>();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(bytes)).batches()) {
            batch.ensureValid();
            lines.add(describe(batch));
            for (Record record : batch) {
                record.ensureValid();
                StringBuilder headers = new StringBuilder();
                for (Header header : record.headers()) {
                    headers.append(' ').append(hex(ByteBuffer.wrap(bytes(header.key())))).append('=')
                        .append(hex(header.value() == null ? null : ByteBuffer.wrap(header.value())));
                }
                lines.add("record offset=" + record.offset() + " time=" + record.timestamp()
                    + " key=" + hex(record.key()) + " value=" + hex(record.value()) + " headers" + headers);
            }
        }
        return lines;
    }

    static String describe(MutableRecordBatch batch) {
        String common = "batch magic=" + batch.magic() + " base=" + batch.baseOffset()
            + " last=" + batch.lastOffset() + " size=" + batch.sizeInBytes()
            + " crc=" + String.format("%08x", batch.checksum())
            + " codec=" + batch.compressionType().name
            + " time=" + (batch.timestampType() == TimestampType.LOG_APPEND_TIME ? "append" : "create")
            + " max_time=" + batch.maxTimestamp();
        if (!(batch instanceof DefaultRecordBatch current)) {
            return common;
        }
        return common + " epoch=" + current.partitionLeaderEpoch() + " base_time=" + current.baseTimestamp()
            + " producer=" + current.producerId() + "/" + current.producerEpoch()
            + " sequence=" + current.baseSequence() + ".." + current.lastSequence()
            + " count=" + current.countOrNull() + " transactional=" + current.isTransactional()
            + " control=" + current.isControlBatch() + " horizon="
            + (current.deleteHorizonMs().isPresent() ? current.deleteHorizonMs().getAsLong() : "-");
    }

    static String hex(ByteBuffer buffer) {
        if (buffer == null) {
            return "-";
        }
        byte[] bytes = new byte[buffer.remaining()];
        buffer.duplicate().get(bytes);
        return bytes.length <= 64 ? "0x" + HEX.formatHex(bytes)
            : bytes.length + ":" + String.format("%08x", Crc32C.compute(bytes, 0, bytes.length));
    }
}
