import eu.europa.esig.dss.diagnostic.DiagnosticData;
import eu.europa.esig.dss.enumerations.Indication;
import eu.europa.esig.dss.jaxb.object.Message;
import eu.europa.esig.dss.model.FileDocument;
import eu.europa.esig.dss.model.x509.CertificateToken;
import eu.europa.esig.dss.pades.validation.PDFDocumentAnalyzer;
import eu.europa.esig.dss.service.crl.OnlineCRLSource;
import eu.europa.esig.dss.service.ocsp.OnlineOCSPSource;
import eu.europa.esig.dss.simplereport.SimpleReport;
import eu.europa.esig.dss.spi.DSSUtils;
import eu.europa.esig.dss.spi.validation.CommonCertificateVerifier;
import eu.europa.esig.dss.spi.x509.CommonTrustedCertificateSource;
import eu.europa.esig.dss.validation.SignedDocumentValidator;
import eu.europa.esig.dss.validation.reports.Reports;
import java.io.File;
import java.util.ArrayList;
import java.util.List;

/**
 * What EU DSS says of signed PDFs, as one JSON object a line.
 *
 * Arguments: a folder of trusted certificates (PEM), a policy file or "-" for the one that DSS ships, "online" or
 * "offline", then the files. Nothing but loopback is asked: the certificates of a test name loopback addresses.
 */
public final class Judge {
    private Judge() {}

    public static void main(String[] arguments) {
        CommonTrustedCertificateSource trusted = new CommonTrustedCertificateSource();
        File[] anchors = new File(arguments[0]).listFiles((folder, name) -> name.endsWith(".pem"));
        for (File anchor : anchors) {
            trusted.addCertificate(DSSUtils.loadCertificate(anchor));
        }
        boolean online = arguments[2].equals("online");
        for (int i = 3; i < arguments.length; i++) {
            System.out.println(judge(arguments[i], trusted, arguments[1], online));
        }
    }

    private static String judge(String file, CommonTrustedCertificateSource trusted, String policy, boolean online) {
        CommonCertificateVerifier verifier = new CommonCertificateVerifier();
        verifier.setTrustedCertSources(trusted);
        verifier.setAIASource(null);
        if (online) {
            verifier.setOcspSource(new OnlineOCSPSource());
            verifier.setCrlSource(new OnlineCRLSource());
        }
        SignedDocumentValidator validator = SignedDocumentValidator.fromDocument(new FileDocument(file));
        validator.setCertificateVerifier(verifier);
        Reports reports =
                policy.equals("-") ? validator.validateDocument() : validator.validateDocument(new File(policy));
        SimpleReport simple = reports.getSimpleReport();
        DiagnosticData facts = reports.getDiagnosticData();
        List<String> signatures = new ArrayList<>();
        for (String id : simple.getSignatureIdList()) {
            List<Message> errors = new ArrayList<>(simple.getAdESValidationErrors(id));
            List<Message> warnings = new ArrayList<>(simple.getAdESValidationWarnings(id));
            signatures.add(object(
                    "field", String.valueOf(facts.getSignatureById(id).getFirstFieldName()),
                    "level", String.valueOf(simple.getSignatureFormat(id)),
                    "indication", String.valueOf(simple.getIndication(id)),
                    "subindication", String.valueOf(simple.getSubIndication(id)),
                    "errors", texts(errors),
                    "warnings", texts(warnings)));
        }
        List<String> stamps = new ArrayList<>();
        for (String id : simple.getTimestampIdList()) {
            Indication indication = simple.getIndication(id);
            stamps.add(object("time", String.valueOf(simple.getProductionTime(id)),
                    "indication", String.valueOf(indication),
                    "subindication", String.valueOf(simple.getSubIndication(id))));
        }
        return "{" + quoted("file") + ":" + quoted(file)
                + "," + quoted("signatures") + ":[" + String.join(",", signatures) + "]"
                + "," + quoted("timestamps") + ":[" + String.join(",", stamps) + "]}";
    }

    private static String texts(List<Message> messages) {
        List<String> found = new ArrayList<>();
        for (Message message : messages) {
            found.add(message.getKey() + " " + message.getValue());
        }
        return String.join(" | ", found);
    }

    private static String object(String... pairs) {
        List<String> fields = new ArrayList<>();
        for (int i = 0; i < pairs.length; i += 2) {
            fields.add(quoted(pairs[i]) + ":" + quoted(pairs[i + 1]));
        }
        return "{" + String.join(",", fields) + "}";
    }

    private static String quoted(String text) {
        StringBuilder out = new StringBuilder("\"");
        for (char letter : text.toCharArray()) {
            if (letter == '"' || letter == '\\') {
                out.append('\\').append(letter);
            } else if (letter < ' ') {
                out.append(String.format("\\u%04x", (int) letter));
            } else {
                out.append(letter);
            }
        }
        return out.append('"').toString();
    }
}
