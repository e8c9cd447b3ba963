// A client is reset twice, and succeeds at its third attempt: java LabTest.java

import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

public class LabTest {
    public static void main(String[] arguments) throws Exception {
        Path file = Files.createTempDirectory("lab").resolve("ports");
        Process lab = start(file, "--behaviour", "echo", "--fault", "reset_peer,conn=1-2");
        try {
            int port = Integer.parseInt(Files.readString(file).split("\\s+")[2]);
            int attempts = 1;
            while (!ask(port, "hello").equals("hello")) {
                attempts++;
            }
            System.out.println("attempts: " + attempts);
        } finally {
            lab.destroy();
        }
    }

    static Process start(Path file, String... options) throws Exception {
        var words = new ArrayList<>(List.of("tcplab", "serve", "--port", "0", "--port-file", file.toString()));
        words.addAll(List.of(options));
        var builder = new ProcessBuilder(words);
        Process lab = builder.redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .redirectError(ProcessBuilder.Redirect.INHERIT).start();
        while (!Files.exists(file)) {
            if (!lab.isAlive()) {
                throw new IllegalStateException("the lab has ended");
            }
            Thread.sleep(20);
        }
        return lab;
    }

    static String ask(int port, String question) { // the client that is tested
        try (var socket = new Socket("127.0.0.1", port)) {
            socket.getOutputStream().write(question.getBytes(StandardCharsets.US_ASCII));
            byte[] answer = socket.getInputStream().readNBytes(question.length());
            return new String(answer, StandardCharsets.US_ASCII);
        } catch (IOException e) {
            return e.getMessage(); // reset; the next attempt may succeed
        }
    }
}
