//! RSA keys made for these tests and used nowhere else: PKCS#1 DER in base64, and the modulus in base64url.

/// A private key of 2048 bits.
pub(crate) const RSA_2048: &str = concat!(
    "MIIEogIBAAKCAQEA3PEl9To/ZAeqJLEcWoB4RIOd6C5c99prbuAVmBzgPnNLu2U/0EVuYK3DRq1aGn4I78DQtdYKDuT0/Vb8VGNS",
    "xWLMoFKPpahLk/VcoBZPBKsUH+ybt9+cSTTePgR1Qnj8v/y+lrGLJBfz6F6cZVlUvlDAh9VNL69X+5obNkIZOF2WfBbUTw9ZrgXy",
    "Mj82I9JuFa6Ky25lpCS4WC0h5X9B6c7hjrymkvQhK55Q2eLQD/rg78m+fL76ftS8drAZQZm9IngZsJXZVfrbYCufYYY1RXo1KfpI",
    "aHXwxE/K4AuPwy3FyikaCZ4H/EAm1pCDai15VsYxYusgj2gESrvGI7z/1QIDAQABAoIBABuQzWbpMNuEG/Wepfuh/QoJ+dDsEpas",
    "iQGOXQ4GHEbuZPZ+eBW+HpAFXfsaycZ1ucZf93+YXYI6OAQbruPAeKU+jGqRonEirDtLk5Y4R6eSHggATKAGUB4kxc2rCg4/FhnF",
    "/j7C6/9BgHbvcZ0w0Lfl+f94h2bO/lqFLFFQBzbW4Dvk0gcM/G6Trv0Fq4zwzsUQF7qwR9eALLkSkdvyog/lVFYUnVoNJSnF+SsI",
    "qkaWzrp9HQ69v5im16R1QIqEMNMUpyRUmv45NdJflP4wvMRr2RxhCmUR8ybqppT4Xxh2RXBgJQiG6P7GB6te/AnQNmuGqj4x0VaO",
    "nY7aJKDANkkCgYEA/W6VnTMPyRFPv5c8qbQVPbKXtjj0AsLND4+kC4diNoUaMsHF8/yegtSBkxQG+Ou7sFu3WPXLFgIUKv5om3uR",
    "PQH54Sh7jvDvPfUDJONwKc3l9MdALexRS1xawffltcznKMmfOhD3ziuyJb2dW8woUEqOksQ3psFzFIac75RkQwMCgYEA3y5IfI5O",
    "OnGV8UtnIrgyYDBc9SvZIV5eGhTYpQkAUuK7RW8yKPRkC4lrwW+OfO79AP2Q4G2r/1ZqsKIkZPap8sKVZzFCsytI+nW8/A39J+FB",
    "913r7CplYqZfL8h5tvQqqxIa9OKhdgVEZPLrs2/3wMGrN9vq/XoNGmzSEJlWzkcCgYADwT6wPJBwTzRaR1hbv1JNPrcmuQNMgyxc",
    "nak1joTy/9fahqpzKfwDPjjJQBO2Xm/CdilqRQIESnWYCXrtStBlEgFsx5fFD2bMCTRJuKDxzZ4pmUYnKAgwUKb7lrutjOKj5RDZ",
    "4GR7hoQ2MPAC6yxxvBkOrZ+Rde5JkJEEr7MolwKBgGigxhK+lCYKAgVxGBTKzbMSeUHnII/oMa2AgGA+bAxvhuPyUU2p5Q0Ti5TP",
    "u7kOQUYpmbXdNHksBjBwkydSDDJmzqvmCCL+8+OXNtXjqP79N3PEcEnzRjyNSqqYDZebuDUi88hCRveRWJMK3zzsDPYs1RwG2Y+j",
    "nGj7AzAM8wkZAoGAIp/0tHYTodHTkHZoFcrPOEHuX89aBAt1tV21RsFs1tHxfulIEpE4Pn9ZcwdlWp48+EtC6b6oGZu2Tbm2Jgji",
    "jgDmisSeQrzNkDc38AUr9JTYrihnUmYFhrCpUgV3SsCP6XdJTkAX6BxgJvnYdTr6tSbMPJlrfuKb0kpceTqqQSw=",
);

/// Its modulus.
pub(crate) const RSA_2048_N: &str = concat!(
    "3PEl9To_ZAeqJLEcWoB4RIOd6C5c99prbuAVmBzgPnNLu2U_0EVuYK3DRq1aGn4I78DQtdYKDuT0_Vb8VGNSxWLMoFKPpahLk_Vc",
    "oBZPBKsUH-ybt9-cSTTePgR1Qnj8v_y-lrGLJBfz6F6cZVlUvlDAh9VNL69X-5obNkIZOF2WfBbUTw9ZrgXyMj82I9JuFa6Ky25l",
    "pCS4WC0h5X9B6c7hjrymkvQhK55Q2eLQD_rg78m-fL76ftS8drAZQZm9IngZsJXZVfrbYCufYYY1RXo1KfpIaHXwxE_K4AuPwy3F",
    "yikaCZ4H_EAm1pCDai15VsYxYusgj2gESrvGI7z_1Q",
);

/// A private key of 1024 bits.
pub(crate) const RSA_1024: &str = concat!(
    "MIICXAIBAAKBgQDKv/Ndsnrdll8TaN0MGmKQzTxvTAE2o4lNVPipFkau9zJdcBIFX0B1MfAxjd4sPrNcOZL/I7HZwZbkAhI9yEhM",
    "XIbN06nYDsClyziKe3viXwvdHyISpU0HJBPTZxOo8BsA+oDhoUSwq6MFPZX7DypKP7rJuiTgq8D3tVp0VkYnpwIDAQABAoGAd69O",
    "G26DpxDgORX6/u0IaFAvL8gfI0DwiUzyqOX0fc6A1bWVfcRXyZbcInSLxXSR7owyIRjSIShtSVWLrRrwyc12dri2tIn+NgywYyqJ",
    "cDua2Q2HUoU0mhBOZancrRvajj9Ql9YIo6Jf3WCxw05QoM8itp8HLoeRin8A16a4ovECQQDzfWZaWIXkcvpiztzvb/5rbkxb0qVt",
    "rpYK8rR/AQY+xvIt2x5BxR2LoH3ikievwD8LytYIlWiFSHV+YOuzYtqfAkEA1SqzZgn1lElJ52hLvsUdQaHBpfym0QtzsVXcLvlU",
    "3TqpCMCwBtuQD6l9O+7XrhR+4vIhbvdUUdpKbZWW9XSd+QJBAM7ZeilISL6xesqUCBcU4mNruUzMX6MVDPxSAUpfmWmdY0HXgxXG",
    "mfnzJt5i4Xop7KVc9IUoQDnyO3ZYagPj9+sCQBq1DeMD7mvUvtiqXYsaQS8e6Bc2z2OzjpwySLLt9C7/kXwSQDuruKHtt04R/53E",
    "3Zzrfzra7AqRUe/m5RH9uWkCQDojguVG5JSZDSe88bz/rmUDGcrYLaIa3YiA+bXVcQtZ0lRSZQ8e6JR4YmIAtF2KWnlutaTsvdRO",
    "Frx1CnByvNs=",
);

/// Its modulus.
pub(crate) const RSA_1024_N: &str = concat!(
    "yr_zXbJ63ZZfE2jdDBpikM08b0wBNqOJTVT4qRZGrvcyXXASBV9AdTHwMY3eLD6zXDmS_yOx2cGW5AISPchITFyGzdOp2A7Apcs4",
    "int74l8L3R8iEqVNByQT02cTqPAbAPqA4aFEsKujBT2V-w8qSj-6ybok4KvA97VadFZGJ6c",
);
