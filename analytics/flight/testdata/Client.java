// An analyst's program, with Apache Arrow's JDBC driver for Flight SQL: it prints
// what it got, one line each, what and value apart by a tab.
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;

public class Client {
    interface Call {
        Object run() throws SQLException;
    }

    static void say(String what, Object value) {
        System.out.println(what + "\t" + String.valueOf(value).replace('\n', ' '));
    }

    static void fails(String what, Call call) {
        try {
            call.run();
            say(what, "allowed");
        } catch (SQLException | RuntimeException e) {
            StringBuilder all = new StringBuilder();
            for (Throwable t = e; t != null; t = t.getCause()) {
                all.append(t.getMessage()).append(' ');
            }
            say(what, all);
        }
    }

    static String rows(ResultSet r) throws SQLException {
        StringBuilder out = new StringBuilder();
        try (r) {
            while (r.next()) {
                for (int i = 1; i <= r.getMetaData().getColumnCount(); i++) {
                    out.append(i > 1 ? "," : out.length() > 0 ? ";" : "").append(r.getString(i));
                }
            }
        }
        return out.toString();
    }

    static Connection connect(String address, String token) throws SQLException {
        Properties p = new Properties();
        p.put("useEncryption", "false");
        p.put("token", token);
        return DriverManager.getConnection("jdbc:arrow-flight-sql://" + address, p);
    }

    public static void main(String[] args) throws SQLException {
        try (Connection c = connect(args[0], args[1]); Statement s = c.createStatement()) {
            DatabaseMetaData m = c.getMetaData();
            say("server", m.getDatabaseProductName());
            StringBuilder tables = new StringBuilder();
            try (ResultSet r = m.getTables(null, null, "%", null)) {
                while (r.next()) {
                    tables.append(r.getString("TABLE_NAME")).append(' ');
                }
            }
            say("tables", tables);
            say("rows", rows(s.executeQuery("SELECT kind, count(*), sum(amount_yen)::BIGINT FROM event GROUP BY kind ORDER BY kind")));
            try (PreparedStatement q = c.prepareStatement("SELECT count(*) FROM event WHERE kind = ? AND amount_yen >= CAST(? AS BIGINT)")) {
                q.setString(1, "pay");
                q.setString(2, "200");
                say("bound", rows(q.executeQuery()));
            }
            rows(s.executeQuery("CREATE TEMP TABLE mine AS SELECT * FROM payment"));
            say("temporary", rows(s.executeQuery("SELECT count(*) FROM mine")));
            fails("read_csv", () -> s.executeQuery("SELECT * FROM read_csv('/etc/passwd')"));
            fails("insert", () -> s.executeUpdate("INSERT INTO mine SELECT * FROM mine"));
            fails("too many", () -> rows(s.executeQuery("SELECT * FROM range(1000000)")));
            say("after", rows(s.executeQuery("SELECT 1")));
        }
        fails("wrong token", () -> {
            try (Connection c = connect(args[0], "x".repeat(43)); Statement s = c.createStatement()) {
                return rows(s.executeQuery("SELECT 1"));
            }
        });
    }
}
