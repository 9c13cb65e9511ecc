// Asks brokers by Kafka's own classes: each line of standard input is one request, each line of standard
// output its answer as JSON. With the jars of Kafka 4.3.1 in LIBS:
//
//   java -cp "LIBS/*" tests/peer/Ask.java
//   9092 Metadata 13 {"topics": null, "allowAutoTopicCreation": true, ...}
//
// The JSON is that of Kafka's converters. Fields that are left out of a request get their default values.
// Records of a Produce request are given as text and become one batch: `"records": "one line"`, or
// `"123@one line"` with the timestamp 123; those of a
// Fetch answer are told by their offsets and values. A connection that the broker closes is
// {"closed": true}.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.BinaryNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.Socket;
import java.net.SocketException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.TreeMap;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.message.FetchResponseData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.ResponseHeaderData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.SimpleRecord;

public class Ask {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final PrintStream OUT = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    private static final String MESSAGES = "org.apache.kafka.common.message.";
    private static final int CORRELATION = 7;
    private static final long NOW = System.currentTimeMillis();

    public static void main(String[] args) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
            String[] words = line.split(" ", 4);
            int port = Integer.parseInt(words[0]);
            OUT.println(ask(port, words[1], Short.parseShort(words[2]), JSON.readTree(words[3])));
            OUT.flush();
        }
    }

    /** Sends one request on a connection of its own. */
    private static JsonNode ask(int port, String api, short version, JsonNode asked) throws Exception {
        ApiKeys key = ApiKeys.forId(keyOf(api).id);
        String name = api + "RequestData";
        ObjectNode whole = overlay(Class.forName(MESSAGES + name), version, (ObjectNode) asked,
            converter(name));
        ApiMessage request = (ApiMessage) converter(name).getMethod("read", JsonNode.class, short.class)
            .invoke(null, whole, version);
        RequestHeaderData header = new RequestHeaderData()
            .setRequestApiKey(key.id)
            .setRequestApiVersion(version)
            .setCorrelationId(CORRELATION)
            .setClientId("ask");
        ByteBuffer head = MessageUtil.toByteBufferAccessor(header, key.requestHeaderVersion(version))
            .buffer();
        ByteBuffer body = MessageUtil.toByteBufferAccessor(request, version).buffer();
        try (Socket socket = new Socket("127.0.0.1", port)) {
            socket.setSoTimeout(20_000);
            ByteBuffer frame = ByteBuffer.allocate(4 + head.remaining() + body.remaining());
            frame.putInt(head.remaining() + body.remaining()).put(head).put(body);
            socket.getOutputStream().write(frame.array());
            DataInputStream in = new DataInputStream(socket.getInputStream());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            return told(key, api, version, ByteBuffer.wrap(answer));
        } catch (EOFException | SocketException closed) {
            return JSON.createObjectNode().put("closed", true);
        }
    }

    private static JsonNode told(ApiKeys key, String api, short version, ByteBuffer answer) throws Exception {
        ByteBufferAccessor readable = new ByteBufferAccessor(answer);
        new ResponseHeaderData().read(readable, key.responseHeaderVersion(version));
        String name = api + "ResponseData";
        ApiMessage response = (ApiMessage) Class.forName(MESSAGES + name).getConstructor().newInstance();
        response.read(readable, version);
        JsonNode json
            = (JsonNode) converter(name).getMethod("write", Class.forName(MESSAGES + name), short.class)
            .invoke(null, response, version);
        if (response instanceof FetchResponseData fetched) {
            tellRecords(fetched, json);
        }
        if (answer.hasRemaining()) {
            ((ObjectNode) json).put("bytesBehind", answer.remaining());
        }
        return json;
    }

    private static ApiKeys keyOf(String api) {
        for (ApiKeys key : ApiKeys.values()) {
            if (key.messageType.name.equals(api)) {
                return key;
            }
        }
        throw new IllegalArgumentException("no API " + api);
    }

    private static Class<?> converter(String name) throws Exception {
        return Class.forName(MESSAGES + name + "JsonConverter");
    }

    /** Converters demand every field: those that were left out come from a new instance of the same class. */
    private static ObjectNode overlay(Class<?> message, short version, ObjectNode asked, Class<?> converter)
        throws Exception {
        Object fresh = message.getConstructor().newInstance();
        ObjectNode all = (ObjectNode) converter.getMethod("write", message, short.class).invoke(null,
            fresh, version);
        Map<String, JsonNode> given = new TreeMap<>();
        asked.fields().forEachRemaining(field -> given.put(field.getKey(), field.getValue()));
        for (Map.Entry<String, JsonNode> field : given.entrySet()) {
            JsonNode value = field.getValue();
            if (field.getKey().equals("records") && value.isTextual()) {
                value = BinaryNode.valueOf(batch(value.asText()));
            } else if (value.isArray() && value.size() > 0 && value.get(0).isObject()) {
                value = structs(message, field.getKey(), version, (ArrayNode) value);
            }
            all.set(field.getKey(), value);
        }
        return all;
    }

    private static ArrayNode structs(Class<?> message, String field, short version, ArrayNode values)
        throws Exception {
        String getter = message.getMethod(field).getGenericReturnType().getTypeName();
        String inner = getter.contains("<")
            ? getter.substring(getter.indexOf('<') + 1, getter.length() - 1) : getter;
        Class<?> struct = Class.forName(inner);
        if (java.util.AbstractCollection.class.isAssignableFrom(struct)) {
            struct = Class.forName(inner.substring(0, inner.length() - "Collection".length()));
        }
        String outer = struct.getEnclosingClass().getSimpleName();
        Class<?> converter =
            Class.forName(MESSAGES + outer + "JsonConverter$" + struct.getSimpleName() + "JsonConverter");
        ArrayNode all = JSON.createArrayNode();
        for (JsonNode value : values) {
            all.add(overlay(struct, version, (ObjectNode) value, converter));
        }
        return all;
    }

    private static byte[] batch(String line) {
        long timestamp = NOW;
        int at = line.indexOf('@');
        if (at > 0) {
            timestamp = Long.parseLong(line.substring(0, at));
        }
        SimpleRecord record = new SimpleRecord(timestamp, null, line.getBytes(StandardCharsets.UTF_8));
        ByteBuffer bytes = MemoryRecords.withRecords(Compression.NONE, record).buffer();
        byte[] copy = new byte[bytes.remaining()];
        bytes.get(copy);
        return copy;
    }

    /** Kafka's converter leaves records out; here is what they hold. */
    private static void tellRecords(FetchResponseData response, JsonNode json) {
        for (int topic = 0; topic < response.responses().size(); topic++) {
            var partitions = response.responses().get(topic).partitions();
            for (int partition = 0; partition < partitions.size(); partition++) {
                ArrayNode told = JSON.createArrayNode();
                for (Record record : ((MemoryRecords) partitions.get(partition).records()).records()) {
                    String value = record.hasValue()
                        ? StandardCharsets.UTF_8.decode(record.value()).toString() : null;
                    told.add(record.offset() + " " + value);
                }
                JsonNode place = json.get("responses").get(topic).get("partitions").get(partition);
                ((ObjectNode) place).set("records", told);
            }
        }
    }
}
